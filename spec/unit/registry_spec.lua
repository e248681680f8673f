describe("core.registry", function ()
	local registry
	local outer <const> = rawget(_G, "prosody")

	before_each(function ()
		package.loaded["core.registry"] = nil
		registry = require "core.registry"
		rawset(_G, "prosody", { server_id = "me" })
	end)
	after_each(function ()
		package.loaded["core.registry"] = nil
		rawset(_G, "prosody", outer)
	end)

	-- The value of a promise that settles at once; or nil and why.
	local function settled(promise)
		local turns <const> = require "spec.support.turns"
		local result
		promise:next(function (value) result = { value } end, function (why) result = { nil, why } end)
		turns.run_until(function () return result end)
		return result[1], result[2]
	end

	-- A backend that notes what it hears and answers find as it is told.
	local function backend(answer)
		local heard <const> = {}
		registry.set_backend {
			changed = function (store, id) heard[#heard + 1] = store.name .. " " .. id end,
			opened = function (store) heard[#heard + 1] = "opened " .. store.name end,
			find = function (_, _, done) done(table.unpack(answer or {}, 1, 3)) end,
			peers = function () return { store = "up", servers = {} } end,
		}
		return heard
	end

	it("keeps entries, and copies of their values", function ()
		local store <const> = registry.open("chat")
		local value <const> = { room = "garden", list = { 1, 2 } }
		assert.is_true(store:set("juliet", value))
		value.room = "street"
		assert.same({ room = "garden", list = { 1, 2 } }, store:get("juliet"))
		store:get("juliet").room = "street"
		assert.same({ juliet = { room = "garden", list = { 1, 2 } } }, store:list())
		assert.is_true(store:set("juliet", 7))
		assert.equal(7, store:get("juliet"))
		assert.equal(1, store.count)
		assert.is_true(store:remove("juliet"))
		assert.is_false(store:remove("juliet"))
		assert.is_nil(store:get("juliet"))
		assert.equal(0, store.count)
	end)

	it("refuses what it cannot keep, and changes nothing", function ()
		local store <const> = registry.open("chat")
		store:set("a", "before")
		assert.same({ nil, "bad-id" }, { store:set("", 1) })
		assert.same({ nil, "bad-id" }, { store:set(7, 1) })
		assert.same({ nil, "bad-id" }, { store:set(("x"):rep(257), 1) })
		assert.same({ nil, "bad-value" }, { store:set("a", nil) })
		assert.same({ nil, "too-large" }, { store:set("a", ("x"):rep(16384)) })
		local loop <const> = {}
		loop.loop = loop
		assert.same({ nil, "bad-value" }, { store:set("a", loop) })
		assert.equal("before", store:get("a"))
		assert.equal(1, store.count)
	end)

	it("gives a module that is loaded anew its store with the entries, another its own", function ()
		registry.open("chat"):set("a", 1)
		assert.equal(1, registry.open("chat"):get("a"))
		assert.is_nil(registry.open("other"):get("a"))
		registry.close("chat")
		assert.is_nil(registry.open("chat"):get("a"))
	end)

	it("tells the backend each change, and that a store was closed", function ()
		local heard <const> = backend()
		local store <const> = registry.open("chat")
		store:set("a", 1)
		store:remove("a")
		store:remove("a")
		store:set("b", 1)
		registry.close("chat")
		assert.same({ "opened chat", "chat a", "chat a", "chat b", "chat b" }, heard)
	end)

	it("finds its own entries at once, and those of peers through the backend", function ()
		local store <const> = registry.open("chat")
		store:set("a", "mine")
		assert.same({ server_id = "me", value = "mine" }, settled(store:find("a")))
		assert.is_nil((settled(store:find("b"))))
		backend { "other", '"theirs"' }
		assert.same({ server_id = "other", value = "theirs" }, settled(store:find("b")))
		assert.same({ server_id = "me", value = "mine" }, settled(store:find("a")))
		backend()
		assert.same({ nil, nil }, { settled(store:find("b")) })
		backend { nil, nil, "timeout" }
		assert.same({ nil, "timeout" }, { settled(store:find("b")) })
	end)

	it("takes over an entry once, unless it has one of that name or it makes no sense", function ()
		local adopted <const> = {}
		local store <const> = registry.open("chat", { onadopt = function (id, value, from)
			adopted[#adopted + 1] = ("%s=%s of %s"):format(id, value, from)
			error("a spec's own error")
		end })
		store:set("mine", 1)
		assert.is_true(registry.adopt(store, "a", '"x"', "other"))
		assert.is_false(registry.adopt(store, "a", '"y"', "other"))
		assert.is_false(registry.adopt(store, "mine", "2", "other"))
		assert.is_false(registry.adopt(store, "b", "{broken", "other"))
		assert.is_false(registry.adopt(store, "c", ('"%s"'):format(("x"):rep(16384)), "other"))
		assert.is_true(registry.adopt(store, "d", "false", "other"))
		assert.same({ "a=x of other", "d=false of other" }, adopted)
		assert.equal(3, store.count)
	end)

	it("has peers only with a backend", function ()
		assert.is_nil(registry.peers())
		backend()
		assert.same({ store = "up", servers = {} }, registry.peers())
	end)
end)

describe("core.singletons", function ()
	local singletons <const> = dofile "host/lua/core/singletons.lua"
	local heard = {}
	local module <const> = { name = "spec" }

	local function add(name, more)
		singletons.add(more or module, name, function () heard[#heard + 1] = "+" .. name end,
			function () heard[#heard + 1] = "-" .. name end)
	end

	it("start when the right comes, and stop in reverse when it goes", function ()
		add "a"
		add "b"
		assert.same({}, heard)
		singletons.begin()
		singletons.begin()
		add "c"
		singletons.cease()
		singletons.cease()
		assert.same({ "+a", "+b", "+c", "-c", "-b", "-a" }, heard)
		assert.is_false(singletons.ours())
	end)

	it("go and come back with their module", function ()
		heard = {}
		singletons.begin()
		local other <const> = { name = "other" }
		add("d", other)
		local removed <const> = singletons.remove_module(other)
		singletons.cease()
		singletons.begin()
		singletons.restore(removed)
		assert.same({ "+a", "+b", "+c", "+d", "-d", "-c", "-b", "-a", "+a", "+b", "+c", "+d" }, heard)
	end)

	it("that raise are running all the same, and a name is taken once", function ()
		singletons.add(module, "bad", function () error("a spec's own error") end)
		singletons.cease()
		assert.has_error(function () add "a" end)
	end)
end)
