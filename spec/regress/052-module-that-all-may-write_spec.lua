-- "A config that everyone may write is refused when a host is started as root, a module is not: any
-- user of the machine could put code into the host." And: "reload NAME does not judge a module's
-- rights."

local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local sys_stat <const> = require "posix.sys.stat"
local unistd <const> = require "posix.unistd"

describe("regress: a module that everyone may write", function ()
	local dir

	before_each(function ()
		dir = process.temp_dir()
		sys_stat.mkdir(dir .. "/mod_open", 493) -- 0755
		process.write_file(dir .. "/mod_open/mod_open.lua", 'module:require "part"')
		process.write_file(dir .. "/mod_open/part.lib.lua", "return {}")
		process.write_file(dir .. "/gadwall.cfg.lua", 'plugin_paths = { "." }; run_as_root = true\n'
			.. 'modules_enabled = { "open" }; modules_disabled = { "lameduck", "graceful_shutdown" }\n')
	end)
	after_each(function ()
		daemon.finish_all()
		process.remove_tree(dir)
	end)

	local function check()
		local code, out, err <const> = process.run { argv = { daemon.binary(), "check", "-c",
			dir .. "/gadwall.cfg.lua" } }
		return code, out .. err
	end

	it("is a fault as root, and a warning else; so is a library of its", function ()
		for _, name in ipairs { "mod_open.lua", "part.lib.lua" } do
			local path <const> = dir .. "/./mod_open/" .. name -- with the "." of plugin_paths
			sys_stat.chmod(path, 438) -- 0666
			local code, text = check()
			local severity <const> = unistd.geteuid() == 0 and "error" or "warning"
			assert.equal(severity == "error" and 1 or 0, code, text)
			assert.truthy(text:find(("%s:1:1: %s: may be written by everyone (chmod o-w)"):format(path,
				severity), 1, true), text)
			sys_stat.chmod(path, 436) -- 0664: the group of who has a umask of 002
			code, text = check()
			assert.equal(0, code, text)
			assert.is_nil(text:find("may be written", 1, true), text)
		end
	end)

	it("is not loaded into a running host as root, by reload, load or require", function ()
		local d <const> = daemon.start { allow = { "stack traceback" }, config = ([[
			plugin_paths = { %q }; modules_enabled = { "admin_shell", "open" }
		]]):format(dir) }
		local as_root <const> = unistd.geteuid() == 0
		local function refused(name, ...)
			local path <const> = dir .. "/mod_open/" .. name
			sys_stat.chmod(path, 438)
			local code, out, err <const> = d:run(...)
			sys_stat.chmod(path, 420)
			local where <const> = as_root and out .. err or d:log()
			assert.truthy(where:find(path .. " may be written by everyone (chmod o-w)", 1, true),
				where)
			assert.equal(as_root and 1 or 0, code)
		end
		refused("mod_open.lua", "reload", "open")
		refused("part.lib.lua", "reload", "open")
		local _, list <const> = d:run("shell", "module", "list")
		assert.truthy(list:find("open +localhost +core"), list)
		assert.equal(0, (d:run("shell", "module", "unload", "open")))
		refused("mod_open.lua", "shell", "module", "load", "open")
		assert.equal(as_root and 0 or 1, (d:run("shell", "module", "load", "open")))
		d:stop()
	end)
end)
