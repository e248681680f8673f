local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"

local everywhere <const> = [[
module:set_global()
prosody.seen = {}
local listener = {}
function listener.onincoming(conn, data) conn:write("VERSION " .. data) end
module:provides("net", { name = "shared", default_port = PORT, listener = listener })
function module.add_host(host)
	table.insert(prosody.seen, "+" .. host.host)
	function host.unload() table.insert(prosody.seen, "-" .. host.host) end
	host:hook("ask", function () return "VERSION " .. host.host end)
end
]]

describe("hosts", function ()
	after_each(daemon.finish_all)

	local port

	local function config(sections)
		return 'modules_enabled = { "admin_socket", "admin_shell", "shared", "each" }\n'
			.. 'interfaces = { "127.0.0.1" }\n' .. (sections or "")
	end

	local function source(version)
		return (everywhere:gsub("VERSION", version):gsub("PORT", port))
	end

	local function start(sections)
		port = client.free_port()
		return daemon.start {
			config = config(sections),
			modules = { shared = source("v1"), each = "prosody.log('info', 'each on %s', module.host)" },
			allow = { "stack traceback" },
		}
	end

	local function lua(d, code)
		local _, last = d:console("> " .. code)
		return (last:gsub("^Result: ", ""))
	end

	it("come and go with a reload; a global module's port and connections stay", function ()
		local d = start()
		local c = d:connect(port)
		d:wait_log("each on localhost")
		d:write_config(config('VirtualHost "a.example"\nVirtualHost "b.example"\n'
			.. 'modules_disabled = { "each" }'))
		assert.equal(0, (d:run("reload")))
		d:wait_log("each on a.example")
		assert.same({}, d:log_lines("each on b.example"))
		assert.equal("nil", lua(d, "return tostring(prosody.hosts.localhost)"))
		local fire = 'return prosody.hosts["b.example"].events.fire_event("ask", {})'
		assert.equal("v1 b.example", lua(d, fire))
		assert.equal("+localhost -localhost +a.example +b.example",
			lua(d, "return table.concat(prosody.seen, ' ')"))
		c:send("x\n")
		assert.equal("v1 x", c:line())
	end)

	it("keep a global module's parts over its reload, and over one that fails", function ()
		local d = start 'VirtualHost "a.example"\nVirtualHost "b.example"'
		local c = d:connect(port)
		d:write_module("shared", source("v2"))
		assert.equal(0, (d:run("reload", "shared")))
		local fire = 'return prosody.hosts["b.example"].events.fire_event("ask", {})'
		assert.equal("v2 b.example", lua(d, fire))
		d:write_module("shared", source("v3") .. "\nerror('boom')")
		assert.equal(1, (d:run("reload", "shared")))
		assert.equal("v2 b.example", lua(d, fire))
		c:send("x\n")
		assert.equal("v2 x", c:line())
	end)

	it("of type Component get their own module and not the global ones", function ()
		local d = start 'VirtualHost "a.example"\nComponent "c.example" "each"'
		d:wait_log("each on c.example")
		assert.equal("component", lua(d, 'return prosody.hosts["c.example"].type'))
		assert.equal("nil", lua(d,
			'return tostring((prosody.hosts["c.example"].events.fire_event("ask", {})))'))
	end)
end)
