-- make compat: tries every module of Debian's prosody and prosody-modules (unpacked by
-- `contrib/deps.sh peers`) in a running gadwall, and writes what came of it into modules/README.md,
-- between two marks. Runs in plain Lua; GADWALL names the binary under test.

package.path = "./.deps/share/lua/5.4/?.lua;./.deps/share/lua/5.4/?/init.lua;" .. package.path
package.cpath = "./.deps/lib/lua/5.4/?.so;" .. package.cpath

local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local dirent <const> = require "posix.dirent"
local json <const> = require "dkjson"
local process <const> = require "spec.support.process"
local stat <const> = require "posix.sys.stat"
local unistd <const> = require "posix.unistd"

local folder <const> = unistd.getcwd() .. "/.deps/peers/usr/lib/prosody/modules"
local page <const> = "modules/README.md"
local mark_begin <const>, mark_end <const> = "<!-- made by make compat -->", "<!-- end -->"

-- Loads the module that a line names, says as JSON what it is and what it offers, unloads it.
local probe <const> = [[
local json = require "util.json"
local mm = require "core.modulemanager"
local portmanager = require "core.portmanager"

local function offers(env)
	local found = { http = {}, net = {} }
	for key, list in pairs(rawget(env.module, "items") or {}) do
		for _, item in ipairs(list) do
			if key == "http-provider" then
				for route in pairs(item.route or {}) do
					table.insert(found.http, { route = tostring(route), app = item.name,
						path = item.default_path or "/" .. item.name })
				end
			elseif key == "net-provider" then
				table.insert(found.net, item.name)
			end
		end
	end
	return found
end

local function try(name)
	if mm.is_loaded(module.host, name) or mm.is_loaded("*", name) then
		return { loads = true, http = {}, net = {} }
	end
	local ok, env, err = pcall(mm.load, module.host, name)
	if not ok or not env then
		return { loads = false, why = tostring(not ok and env or err) }
	end
	local found = offers(env)
	found.loads = true
	return found
end

module:provides("net", { default_port = 0, listener = { default_mode = "*l",
	onincoming = function (conn, line)
		local verb, name = line:match("^(%S+) (%S+)")
		if verb == "load" then
			conn:write(json.encode(try(name)) .. "\n")
		else
			for _, host in ipairs { module.host, "*" } do
				if mm.is_loaded(host, name) and name ~= "http" then pcall(mm.unload, host, name) end
			end
			conn:write("true\n")
		end
	end } })
]]

-- Signs that a module is about XMPP; the first that is found is its reason to be left out.
local signs <const> = {
	"urn:xmpp:", "urn:ietf:params:xml:ns:xmpp", "jabber:", "http://jabber.org",
	"http://prosody.im/protocol", "pep", "register_ibr",
	"core.usermanager", "core.rostermanager", "core.sessionmanager", "core.s2smanager",
	"core.stanza_router", "util.sasl", "util.xmppstream", "util.pubsub", "util.dataforms",
	"util.caps", "util.filters", "util.adminstream", "hook_stanza", "hook_tag", "authentication%-",
	"resource%-bind",
	"stream%-features", "message/", "presence/", "iq/", "s2s", "c2s", "full_sessions", "bare_sessions",
	"add_identity", "add_feature", "is_admin", "usermanager", "util.ldap", "user%-", "roster",
}

local function is_xmpp(text)
	text = text:gsub("%-%-[^\n]*", "")
	for _, sign in ipairs(signs) do
		if text:find(sign) then
			return true
		end
	end
	return false
end

-- name → { path, package, text } of each module in the packages
local function find_modules()
	local found = {}
	for _, entry in ipairs(dirent.dir(folder)) do
		local name = entry:match("^mod_([%w_]+)%.lua$") or entry:match("^mod_([%w_]+)$")
		local inner = name and not entry:find("%.lua$") and "/" .. entry .. ".lua" or ""
		local text = name and process.read_file(folder .. "/" .. entry .. inner)
		if text then
			found[name] = { entry = entry, text = text,
				package = (inner == "" or name == "pubsub") and "prosody" or "prosody-modules" }
		end
	end
	return found
end

local function names(map)
	local list = {}
	for name in pairs(map) do list[#list + 1] = name end
	table.sort(list)
	return list
end

local function is_ours(name)
	return stat.stat("modules/mod_" .. name .. ".lua") ~= nil
end

-- A gadwall that finds all of them but those that it has itself.
local function start(found)
	local d = daemon.start { modules = { compat = probe }, exit = false, fds = false, allow = { "." },
		config = [[modules_enabled = { "compat", "http" }; interfaces = { "127.0.0.1" }
			compat_ports = { 0 }; http_ports = { 0 }; https_ports = {}
			http_interfaces = { "127.0.0.1" }]] }
	for name, one in pairs(found) do
		if not is_ours(name) then
			unistd.link(folder .. "/" .. one.entry, d.dir .. "/modules/" .. one.entry, true)
		end
	end
	return d
end

local function asks(d, line)
	local c = assert(d:connect(d:port "compat", 5))
	c:send(line .. "\n")
	local answer = c:line(5)
	c:close()
	return answer and json.decode(answer) or { loads = false, why = "no answer" }
end

-- What serving means: a request to each route is answered, a port takes a connection.
local function serves(d, result)
	local said = {}
	for _, one in ipairs(result.http) do
		local method, path = one.route:match("^(%S+)%s*(%S*)")
		path = ("/" .. one.path .. path:gsub("/%*$", "/")):gsub("//+", "/")
		local _, status = process.run { argv = { "curl", "-s", "-o", "/dev/null", "-m", "3", "-w",
			"%{http_code}", "-X", method, "-H", "Host: localhost", "http://127.0.0.1:" ..
			d:port "http" .. path } }
		said[#said + 1] = ("%s %s: %s"):format(method, path, status)
	end
	for _, service in ipairs(result.net) do
		local ok, port = pcall(d.port, d, service)
		local c = ok and client.tcp("127.0.0.1", port, 2)
		said[#said + 1] = c and "port of " .. service or service .. " has no port"
		if c then c:close() end
	end
	table.sort(said)
	return table.concat(said, ", ")
end

local function why(text)
	local needs = text:match("module '([^']+)' not found")
		or text:match("Unable to load required module, ([%w_]+)")
	if needs then
		return "needs " .. needs
	end
	return (text:gsub("^.-:%d+: ", ""):gsub("\n.*", ""):gsub("|", "/"):sub(1, 90))
end

local function row(name, one, result, served)
	if not result.loads then
		return ("| `%s` | %s | no | – | %s |"):format(name, one.package, why(result.why))
	end
	return ("| `%s` | %s | yes | %s | |"):format(name, one.package, served ~= "" and served or "–")
end

local function try(d, name, one, xmpp)
	local result = asks(d, "load " .. name)
	local line
	if is_xmpp(one.text) then
		local outcome = result.loads and "yes" or "no"
		xmpp[outcome] = xmpp[outcome] + 1
	else
		line = row(name, one, result, result.loads and serves(d, result) or "")
	end
	asks(d, "unload " .. name)
	return line
end

local function run()
	local found = find_modules()
	local d = start(found)
	local rows, xmpp = {}, { yes = 0, no = 0 }
	for _, name in ipairs(names(found)) do
		local one = found[name]
		rows[#rows + 1] = is_ours(name)
			and ("| `%s` | %s | – | – | gadwall has its own |"):format(name, one.package)
			or try(d, name, one, xmpp)
	end
	d:destroy()
	return rows, xmpp
end

local function write(rows, xmpp)
	local text = ([[%s
| module | package | loads | serves | |
|---|---|---|---|---|
%s

The other %d are about XMPP: %d of them load, to no use, and %d do not, for want of libraries.
%s]]):format(mark_begin, table.concat(rows, "\n"), xmpp.yes + xmpp.no, xmpp.yes, xmpp.no, mark_end)
	local old = assert(process.read_file(page))
	local first, last = old:find(mark_begin, 1, true), select(2, old:find(mark_end, 1, true))
	assert(first and last, "the marks are not in " .. page)
	process.write_file(page, old:sub(1, first - 1) .. text .. old:sub(last + 1))
	print(text)
end

if not stat.stat(folder) then
	io.stderr:write("no packages in .deps/peers: run contrib/deps.sh peers\n")
	os.exit(1)
end
write(run())
