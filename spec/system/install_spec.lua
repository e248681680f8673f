local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local unistd <const> = require "posix.unistd"

local prefix <const> = "/opt/gadwall"

local function make(dir, target)
	local code, out, err = process.run {
		argv = { "make", "-s", target, "DESTDIR=" .. dir, "PREFIX=" .. prefix },
		env = { MAKEFLAGS = false, MFLAGS = false, MAKELEVEL = false, BUILD = false, DEPS = "no" },
		timeout = 100,
	}
	assert.equal(0, code, out .. err)
end

local function files_below(dir)
	local _, out = process.run { argv = { "find", dir, "-type", "f" } }
	local list = {}
	for path in out:gmatch("[^\n]+") do list[path:sub(#dir + 1)] = true end
	return list
end

-- Puts an empty file system over the checkout, in a mount namespace of the child's own. Where that
-- is not allowed (a container), the program merely starts elsewhere.
local function without_checkout()
	local unshare = unistd.geteuid() == 0 and { "unshare", "-m" } or { "unshare", "-rm" }
	local hide = 'mount -t tmpfs none "$0" && cd / && exec "$@"'
	local here <const> = unistd.getcwd()
	local trial = table.move(unshare, 1, #unshare, 1, {})
	table.move({ "sh", "-c", hide, here, "true" }, 1, 5, #trial + 1, trial)
	if process.run { argv = trial } ~= 0 then
		return { "sh", "-c", 'cd / && exec "$@"', here }
	end
	return table.move({ "sh", "-c", hide, here }, 1, 4, #unshare + 1, unshare)
end

describe("make install", function()
	local dir

	setup(function()
		dir = process.temp_dir()
		make(dir, "install")
	end)
	teardown(function() process.remove_tree(dir) end)
	after_each(daemon.finish_all)

	it("puts the program, modules, libraries, unit and completions below PREFIX", function()
		local files = files_below(dir .. prefix)
		for _, path in ipairs {
			"/bin/gadwall", "/lib/gadwall/modules/mod_echo.lua",
			"/lib/gadwall/modules/mod_admin_socket.lua", "/lib/systemd/system/gadwall.service",
			"/share/doc/gadwall/README.md", "/share/doc/gadwall/examples/gadwall.cfg.lua",
			"/share/bash-completion/completions/gadwall", "/share/zsh/site-functions/_gadwall",
			"/share/fish/vendor_completions.d/gadwall.fish",
			"/share/man/man8/gadwall.8", "/share/man/man5/gadwall.cfg.lua.5",
		} do
			assert.is_true(files[path], path)
		end
		if unistd.access(".deps/lib/lua/5.4/posix", "r") then
			assert.is_true(files["/lib/gadwall/lua/posix/unistd.so"])
			assert.is_true(files["/lib/gadwall/lua/posix/init.lua"])
		end
		local unit = process.read_file(dir .. prefix .. "/lib/systemd/system/gadwall.service")
		assert.matches("\nExecStart=/opt/gadwall/bin/gadwall run ", unit)
		assert.is_nil(unit:find("@PREFIX@", 1, true))
	end)

	it("gives a program that serves with the checkout out of sight", function()
		local d = daemon.start {
			binary = dir .. prefix .. "/bin/gadwall", wrap = without_checkout(),
			-- unshare -r makes a user root in his own name space
			config = (unistd.geteuid() == 0 and "" or "run_as_root = true") .. [[

				modules_enabled = { "echo", "admin_socket", "admin_shell", "lameduck",
					"graceful_shutdown" }
				echo_ports = { 0 }
				interfaces = { "127.0.0.1" }
			]],
		}
		local c = d:connect("echo")
		assert(c:send("hello\n"))
		assert.equal("hello", c:line())
		for _, module in ipairs(d:status().modules) do
			assert.is_nil((module.path or ""):find(unistd.getcwd(), 1, true), module.path)
		end
		c:close()
		d:stop()
	end)

	it("is taken away again by make uninstall, to the last file", function()
		make(dir, "uninstall")
		assert.same({}, files_below(dir))
	end)
end)
