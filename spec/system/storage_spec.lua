-- module:open_store: stores of modules, which driver keeps them, and what a restart finds.

local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"

-- A service whose lines are Lua: `store` is opened by `open KIND [NAME]`.
local probe <const> = [[
	local serialize = require "util.serialization".new "oneline"
	local env = setmetatable({ module = module }, { __index = _G })
	module:provides("net", { default_port = 0, listener = {
		default_mode = "*l",
		onincoming = function (conn, line)
			local chunk, err = load(line, "=line", "t", env)
			local result = chunk and table.pack(pcall(chunk)) or { false, err, n = 2 }
			local shown = {}
			for i = 2, result.n do
				local v = result[i]
				shown[#shown + 1] = type(v) == "table" and serialize(v) or tostring(v)
			end
			conn:write(table.concat(shown, " ") .. "\n")
		end,
	} })
]]

local function start(config, dir)
	local d = daemon.start { modules = { probe = probe }, dir = dir, config = [[
		interfaces = { "127.0.0.1" }; modules_enabled = { "probe" }; probe_ports = { 0 }
	]] .. (config or "") }
	local c = d:connect(d:port "probe")
	return d, function (line)
		c:send(line .. "\n")
		return assert(c:line())
	end
end

describe("module:open_store", function ()
	after_each(daemon.finish_all)

	it("keeps what modules store over a restart, in Prosody's files", function ()
		local dir = process.temp_dir()
		local d, eval = start(nil, dir)
		assert.equal("true", eval "s = module:open_store() return s:set('juliet', { a = 1 })")
		assert.equal("true", eval "m = module:open_store('maps', 'map') return m:set('juliet', 'k', 7)")
		assert.equal("true", eval "l = module:open_store('log', 'list') return l:append('juliet', 'one')")
		assert.equal("true", eval "return l:append('juliet', { 'two' })")
		assert.equal("return {\n\t[\"a\"] = 1;\n};\n",
			process.read_file(dir .. "/data/localhost/probe/juliet.dat"))
		assert.equal("item(\"one\");\nitem({\n\t\"two\";\n});\n",
			process.read_file(dir .. "/data/localhost/log/juliet.list"))
		d:stop()
		local again
		d, again = start(nil, dir)
		assert.equal('{ ["a"] = 1 }', again "return module:open_store():get('juliet')")
		assert.equal("7 nil", again
			"m = module:open_store('maps', 'map') return m:get('juliet', 'k'), m:get('juliet', 'other')")
		assert.equal('{ ["juliet"] = 7 }', again "return m:get_all('k')")
		assert.equal('{ "one"; { "two" } }',
			again "return module:open_store('log', 'list'):get('juliet')")
		assert.equal("true nil nil", again "return m:delete_all('k'), m:get('juliet', 'k')")
		assert.equal("probe", again "return module:open_store():users() and 'probe'")
		d:stop()
	end)

	it("has keyval and map in one with keyval+", function ()
		local d, eval = start()
		assert.equal("true", eval "b = module:open_store('both', 'keyval+') return b:set('u', { x = 1 })")
		assert.equal("true 1", eval "return b:set_key('u', 'y', 2), b:get_key('u', 'x')")
		assert.equal('2 { ["u"] = 2 }', eval "return b:get('u').y, b:get_key_from_all('y')")
		d:stop()
	end)

	it("keeps archives in Prosody's files, and finds their items after a restart", function ()
		local dir = process.temp_dir()
		local d, eval = start(nil, dir)
		assert.equal("true", eval "a = module:open_store('past', 'archive') return a ~= nil")
		assert.equal("k1 k2", eval("st = require 'util.stanza' return "
			.. "a:append('u', 'k1', st.stanza('note'):text('one'), 86400, 'w1'), "
			.. "a:append('u', 'k2', st.stanza('note'):text('two'), 86401, 'w2')"))
		local text = process.read_file(dir .. "/data/localhost/past/u.list")
		assert.matches('%["stamp"%] = "1970%-01%-02T00:00:00Z"', text)
		assert.matches('%["key"%] = "k1"', text)
		d:stop()
		d, eval = start(nil, dir)
		assert.equal("true", eval("function show(k, v, ...) return k, tostring(v), ... end "
			.. "a = module:open_store('past', 'archive') return a ~= nil"))
		assert.equal("k1 <note>one</note> 86400 w1", eval "return show(a:find('u', { limit = 1 })())")
		assert.equal("k2 <note>two</note> 86401 w2", eval "return show(a:find('u', { after = 'k1' })())")
		assert.equal("k2 <note>two</note> 86401 w2",
			eval "return show(a:find('u', { reverse = true })())")
		assert.equal("nil item-not-found", eval "return a:find('u', { before = 'k9' })")
		assert.equal("2", eval "return select(2, a:find('u', { limit = 1, total = true }))")
		assert.equal('{ "1970-01-02" }', eval "return a:dates('u')")
		assert.equal("nil unsupported-datatype", eval "return a:append('u', nil, { 1 })")
		assert.equal("1", eval "return a:delete('u', { with = 'w2' })")
		assert.equal("nil item-not-found", eval "return a:get('u', 'k2')")
		d:stop()
	end)

	it("ends an archive at storage_archive_item_limit, and replaces at the limit still", function ()
		local d, eval = start "storage_archive_item_limit = 2; storage = 'memory'"
		assert.equal("true", eval "a = module:open_store('past', 'archive') return a ~= nil")
		assert.equal("a b", eval "return a:append('u', 'a', { 1 }), a:append('u', 'b', 2)")
		assert.equal("nil quota-limit", eval "return a:append('u', nil, 3)")
		assert.equal("a", eval "return a:append('u', 'a', { 4 })")
		assert.equal("b", eval "return (a:find('u')())")
		assert.equal("nil quota-limit", eval "return a:append('u', 'c', 3)")
		assert.equal("1", eval "return a:delete('u', { truncate = 1 })")
		assert.equal("c", eval "return a:append('u', 'c', 3)")
		d:stop()
	end)

	it("gives global modules none, and says why", function ()
		local d, eval = start()
		assert.equal("nil global-storage-not-supported",
			eval "return module:context('*'):open_store('x')")
		d:stop()
	end)

	it("asks the driver that the config names for the store", function ()
		local dir = process.temp_dir()
		local d, eval = start([[default_storage = "memory"; storage = { off = "none" }]], dir)
		assert.equal("true", eval "s = module:open_store('here') return s:set('u', { 1 })")
		assert.equal("{ 1 }", eval "return s:get('u')")
		assert.equal("nil Storage disabled", eval "return module:open_store('off'):set('u', { 1 })")
		assert.equal("u", eval "return s:users()()")
		assert.equal("true", eval "return require 'core.storagemanager'.purge('u', module.host)")
		assert.equal("nil", eval "return s:get('u')")
		assert.is_nil(process.read_file(dir .. "/data/localhost/here/u.dat"))
		d:stop()
	end)

	it("goes on without a driver that is not there", function ()
		local d, eval = start [[storage = "nowhere"]]
		assert.equal("false no data storage active", eval "return module:open_store():set('u', {})")
		assert.is_truthy(d:wait_log "its driver nowhere is not there")
		d:stop()
	end)

	it("serves those who use util.datamanager themselves, and announces stores that open", function ()
		local d, eval = start [[default_storage = "memory"]]
		assert.equal("true", eval([[dm = require "util.datamanager"; ]]
			.. [[return dm.store("u", module.host, "old", { 5 })]]))
		assert.equal("{ 5 }", eval [[return module:open_store("old"):get("u")]])
		assert.equal("old keyval", eval([[module:hook("store-opened", function (e) seen = e end) ]]
			.. [[module:open_store("old", "keyval") return seen.store_name, seen.store_type]]))
		d:stop()
	end)
end)
