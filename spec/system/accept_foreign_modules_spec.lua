-- Unmodified modules of Debian's packages prosody and prosody-modules (contrib/deps.sh peers):
-- dropped in, used, reloaded, unloaded.
local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local dirent <const> = require "posix.dirent"
local glob <const> = require "posix.glob"
local process <const> = require "spec.support.process"
local stat <const> = require "posix.sys.stat"
local unistd <const> = require "posix.unistd"
local wait <const> = require "spec.support.wait"

local places <const> = { unistd.getcwd() .. "/.deps/peers/usr/lib/prosody",
	"/usr/lib/prosody", "/tmp/ref/usr/lib/prosody" }

local function find_peer()
	for _, place in ipairs(places) do
		if stat.stat(place .. "/modules/mod_cron.lua") then return place end
	end
end

local peer <const> = find_peer()

-- Our own are meant to be used instead of these, or they ask for a component or a library.
local not_here <const> = { admin_shell = true, admin_socket = true, windows = true, http = true,
	http_openmetrics = true, component = true }

-- Links chosen modules into a folder, so that none of the others shadows one of ours.
local function link(dir, wanted)
	local names <const> = {}
	stat.mkdir(dir, 448)
	for entry in dirent.files(peer .. "/modules") do
		local name <const> = entry:match("^mod_([%w_]+)%.lua$") or entry:match("^mod_([%w_]+)$")
		if name and wanted(name) and not not_here[name] then
			unistd.link(peer .. "/modules/" .. entry, dir .. "/" .. entry, true)
			names[#names + 1] = name
		end
	end
	-- Libraries that modules share lie beside them.
	for _, folder in ipairs { "adhoc", "muc", "mod_pubsub" } do
		if stat.stat(peer .. "/modules/" .. folder) then
			unistd.link(peer .. "/modules/" .. folder, dir .. "/" .. folder, true)
		end
	end
	table.sort(names)
	return names
end

local function among(list)
	local set <const> = {}
	for _, name in ipairs(list) do set[name] = true end
	return function (name) return set[name] end
end

local function start(wanted, config, modules, allow)
	local dir <const> = process.temp_dir()
	local names <const> = link(dir .. "/peer", wanted)
	local d <const> = daemon.start { modules = modules, fds = false, allow = allow, config = ([[
		plugin_paths = { %q, %q }; lua_paths = { %q }; log = { debug = "*console" }
		interfaces = { "127.0.0.1" }; %s
	]]):format("modules", dir .. "/peer", peer, config) }
	return d, names, dir
end

local function session(d)
	local c <const> = assert(client.unix(d:socket_path(), 20))
	return function (line)
		assert(c:send(line .. "\n"))
		return c:expect("^%u%a+: ")
	end
end

describe("an unmodified module of Prosody", function ()
	after_each(daemon.finish_all)

	if not peer then
		pending("needs Debian's prosody package (contrib/deps.sh peers)")
		return
	end

	it("that is not about XMPP is loaded, reloaded and unloaded", function ()
		local wanted <const> = { "cron", "limits", "net_multiplex", "posix", "reload_modules", "time",
			"uptime", "version", "welcome", "motd", "server_contact_info", "debug_sql", "lastlog",
			"measure_active_users", "storage_memory", "storage_none", "log_auth", "ipcheck" }
		local d <const>, names <const>, dir <const> = start(among(wanted), [[
			modules_enabled = { "admin_socket", "admin_shell" } ]], nil, { "." })
		assert.is_true(#names >= 15, table.concat(names, " "))
		local console <const> = session(d)
		for _ = 1, 2 do
			for _, name in ipairs(names) do
				assert.matches("^OK", console("module load " .. name), name)
			end
			for _, name in ipairs(names) do
				assert.matches("^OK", console("module reload " .. name), name)
			end
			for _, name in ipairs(names) do
				assert.matches("^OK", console("module unload " .. name), name)
			end
		end
		assert.same({}, d:log_lines("traceback"))
		d:stop()
		process.remove_tree(dir)
	end)

	it("whatever it is about, loads or says why not, and leaves the host as it was", function ()
		local d <const>, names <const>, dir <const> = start(function () return true end,
			[[ modules_enabled = { "admin_socket", "admin_shell" } ]], nil, { "." })
		local console <const> = session(d)
		local loaded = 0
		for _, name in ipairs(names) do
			if console("module load " .. name):find("^OK") then
				loaded = loaded + 1
				console("module reload " .. name)
			end
			console("module unload " .. name)
		end
		print(("%d of %d modules of Debian's prosody packages were loaded"):format(loaded, #names))
		assert.is_true(loaded >= #names * 0.6, loaded .. " of " .. #names)
		assert.equal(0, (d:run("shell", "uptime")))
		assert.equal("0", d:state().restarts)
		d:stop()
		process.remove_tree(dir)
	end)

	it("mod_net_multiplex hands a connection to the service whose pattern matches", function ()
		local d <const>, _, dir <const> = start(among { "net_multiplex" }, [[
			modules_enabled = { "net_multiplex", "letters", "digits" }; ports = { 0 }
			letters_ports = { 0 }; digits_ports = { 0 } ]], {
			letters = [[ module:provides("net", { name = "letters", default_port = 0,
				multiplex = { pattern = "^%a" }, listener = {
				onincoming = function (conn, data) conn:write("letters:" .. data) end } }) ]],
			digits = [[ module:provides("net", { name = "digits", default_port = 0,
				multiplex = { pattern = "^%d" }, listener = {
				onconnect = function (conn) conn:write("welcome ") end,
				onincoming = function (conn, data) conn:write("digits:" .. data) end } }) ]],
		})
		local port <const> = d:port("multiplex")
		for _ = 1, 3 do
			local c <close> = d:connect(port)
			assert(c:send("abc\n"))
			assert.equal("letters:abc", c:line())
			assert(c:send("9\n"))
			assert.equal("letters:9", c:line())
			local n <close> = d:connect(port)
			assert(n:send("12\n"))
			assert.equal("welcome digits:12", n:line())
		end
		d:stop()
		process.remove_tree(dir)
	end)

	it("mod_cron runs what is due and stores when", function ()
		local d <const>, _, dir <const> = start(among { "cron" }, [[
			modules_enabled = { "cron", "worker", "admin_socket", "admin_shell" } ]], { worker = [[
			module:depends("cron")
			module:add_item("task", { name = "sweep", when = "hourly", last = 0,
				run = function (task, at) module:log("info", "swept at %d", at) end }) ]] })
		d:wait_log("swept at %d+", 5)
		wait.until_true(function ()
			return glob.glob(d.dir .. "/data/*/cron*", 0) or glob.glob(d.dir .. "/data/*/*cron*", 0)
		end, 3, "the store")
		assert.matches("^OK", select(2, d:console("module reload cron")))
		assert.matches("worker", table.concat(d:console("module list"), "\n"))
		d:stop()
		process.remove_tree(dir)
	end)

	it("mod_reload_modules reloads what its option lists when the config is reloaded", function ()
		local config <const> = [[ modules_enabled = { "reload_modules", "listed", "admin_socket",
			"admin_shell" }; reload_modules = { "listed" } ]]
		local d <const>, _, dir <const> = start(among { "reload_modules" }, config, { listed = [[
			module:log("info", "the first text") ]] })
		d:wait_log("the first text")
		d:write_module("listed", [[ module:log("info", "the second text") ]])
		assert.equal(0, (d:run("reload")))
		d:wait_log("the second text")
		d:stop()
		process.remove_tree(dir)
	end)
end)
