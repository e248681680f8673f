-- What closes a connection inside a callback must not be touched by who called it (run under
-- ASan as well).

local client <const> = require "spec.support.client"
local server <const> = require "net.server"
local turns <const> = require "spec.support.turns"

local run_until <const>, recorder <const> = turns.run_until, turns.recorder

local ends <const> = {
	destroy = function (conn) conn:destroy() end,
	close = function (conn) conn:close() end,
	["close after a write"] = function (conn)
		conn:write("goodbye\n")
		conn:close()
	end,
	["destroy after a write"] = function (conn)
		conn:write("goodbye\n")
		conn:destroy()
	end,
	["close twice and write"] = function (conn)
		conn:close()
		conn:destroy()
		conn:write("late")
		conn:close()
	end,
}

local function prepare(name, how)
	local called
	local r = recorder { [name] = function (conn)
		if called then return end
		called = true
		how(conn)
		collectgarbage()
		conn.touched = true
		return name == "onreadtimeout"
	end }
	local listening = assert(server.listen("127.0.0.1", 0, r.listeners, {
		read_timeout = name == "onreadtimeout" and 0.05 or nil, read_size = "*l",
	}))
	local peer = assert(client.tcp("127.0.0.1", listening:serverport()))
	return r, peer, listening
end

describe("a connection that is ended inside", function ()
	after_each(function ()
		turns.close_all()
		client.close_all()
		collectgarbage()
	end)

	for _, name in ipairs { "onconnect", "onincoming", "ondrain", "ondisconnect", "onreadtimeout",
		"onattach", "ondetach" } do
		for word, how in pairs(ends) do
			it(name .. " by " .. word .. " is closed once and safely", function ()
				local r, peer = prepare(name, how)
				if name == "onincoming" then
					peer:send("one\ntwo\nthree\n")
				elseif name == "ondrain" then
					run_until(function () return r.conn end)
					r.conn:write("x")
				elseif name == "ondisconnect" then
					peer:send("x")
					peer:shutdown()
				elseif name == "onattach" or name == "ondetach" then
					run_until(function () return r.conn end)
					r.conn:setlistener(r.listeners)
				end
				run_until(function () return r.conn and #server.handles() == 0 end, 3, "the end")
				assert.is_true(r.conn.touched)
				local most = word:find("^destroy") and name ~= "ondisconnect" and 0 or 1
				assert.equal(most, r.count.ondisconnect or 0)
				if name == "onincoming" then assert.equal(1, r.count.onincoming) end
				assert.is_true(peer:closed())
			end)
		end
	end

	it("a timer, while it is being written to, is closed safely", function ()
		local r = recorder()
		local listening = assert(server.listen("127.0.0.1", 0, r.listeners))
		local peer = assert(client.tcp("127.0.0.1", listening:serverport()))
		run_until(function () return r.conn end)
		server.add_task(0, function ()
			r.conn:write(("x"):rep(100000))
			r.conn:write("y")
			r.conn:destroy()
			r.conn:write("z")
		end)
		run_until(function () return #server.handles() == 0 end)
		assert.is_nil(r.count.ondisconnect)
		assert.equal(100001, #peer:read_all())
	end)

	it("the callback of another connection is closed safely", function ()
		local conns = {}
		local listening = assert(server.listen("127.0.0.1", 0, {
			onconnect = function (conn) conns[#conns + 1] = conn end,
			onincoming = function (conn)
				for _, other in ipairs(conns) do
					other:write("closing")
					if other ~= conn then other:destroy() end
				end
				conn:close()
			end,
		}))
		local peers = {}
		for i = 1, 20 do
			peers[i] = assert(client.tcp("127.0.0.1", listening:serverport()))
		end
		run_until(function () return #conns == 20 end)
		for i = 1, 20 do peers[i]:send("x") end
		run_until(function () return #server.handles() == 0 end)
		for i = 1, 20 do assert.equal("closing", peers[i]:read_all()) end
	end)

	it("ondisconnect of one it closes in turn ends both once", function ()
		local a, b
		local count = { 0, 0 }
		local listening = assert(server.listen("127.0.0.1", 0, {}))
		local port = listening:serverport()
		a = assert(server.addclient("127.0.0.1", port, { ondisconnect = function ()
			count[1] = count[1] + 1
			b:close()
		end }))
		b = assert(server.addclient("127.0.0.1", port, { ondisconnect = function ()
			count[2] = count[2] + 1
			a:close()
		end }))
		run_until(function () return a:state() == "open" and b:state() == "open" end)
		a:close()
		turns.run_for(0.05)
		assert.same({ 1, 1 }, count)
	end)

	it("a coroutine is closed with its callback in that coroutine", function ()
		local r = recorder()
		local listening = assert(server.listen("127.0.0.1", 0, r.listeners))
		assert(client.tcp("127.0.0.1", listening:serverport()))
		run_until(function () return r.conn end)
		local running
		r.conn.ondisconnect = function () running = coroutine.running() end
		local co = coroutine.create(function () r.conn:close() coroutine.yield() end)
		assert(coroutine.resume(co))
		assert.equal(co, running)
	end)
end)
