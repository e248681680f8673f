-- "With two workers, `gadwall reload MODULE` and the console's module load, module unload, port
-- close, config set and log level changed the worker that speaks for the host, and no other."

local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

local source <const> = [[
	local pid <const> = require "posix.unistd".getpid()
	local listener <const> = { onconnect = function (conn)
		conn:write(("%%s %%d %%s\n"):format("%s", pid, module:get_option_string("word", "none")))
	end }
	module:provides("net", { private = true, default_port = %d, listener = listener })
]]

describe("regress: a command that changes a host of two workers", function ()
	local d, port

	local function start(modules)
		port = client.free_port()
		d = daemon.start {
			config = ([[
				workers = 2; modules_enabled = { "admin_socket", "admin_shell", %s }
			]]):format(modules),
			modules = { who = source:format("old", port), other = "" },
		}
	end

	-- What the service says on 64 connections at one time: set of words, how many workers.
	local function asked()
		local words <const>, pids <const>, count = {}, {}, 0
		for _ = 1, 64 do
			local line <const> = assert(assert(client.tcp("127.0.0.1", port)):line())
			local text, pid, option = line:match("^(%S+) (%d+) (%S+)$")
			words[text .. " " .. option] = true
			count = count + (pids[pid] and 0 or 1)
			pids[pid] = true
		end
		client.close_all()
		return words, count
	end

	local function last(line)
		local lines <const> = d:console(line)
		return lines[#lines]
	end

	after_each(daemon.finish_all)

	it("loads, reloads and unloads a module in both", function ()
		start '"other"'
		assert.equal("OK: loaded on 1 host", last "module load who")
		assert.same({ { ["old none"] = true }, 2 }, { asked() })
		d:write_module("who", source:format("new", port))
		local code, out = d:run("reload", "who")
		assert.equal(0, code, out)
		assert.same({ { ["new none"] = true }, 2 }, { asked() })
		d:write_module("who", source:format("newer", port))
		assert.equal("OK: reloaded on 1 host", last 'module:reload("who")')
		assert.same({ { ["newer none"] = true }, 2 }, { asked() })
		assert.equal("OK: unloaded on 1 host", last "module unload who")
		assert.is_nil(client.tcp("127.0.0.1", port))
		d:rebase_fds()
		d:stop()
	end)

	it("sets an option, and closes a port, in both", function ()
		start '"who"'
		assert.equal("OK: word = duck until the next reload", last "config set word duck")
		assert.same({ { ["old duck"] = true }, 2 }, { asked() })
		assert.matches("^OK: %d closed; connections go on$", last("port close " .. port))
		assert.is_nil(client.tcp("127.0.0.1", port))
		d:rebase_fds()
		d:stop()
	end)

	it("says which worker has not done it", function ()
		start '"other"'
		assert.equal("OK: loaded on 1 host", last "module load who")
		local second <const> = d:status().generations[1].workers[2].pid
		process.kill(second, "KILL")
		wait.until_true(function ()
			local now <const> = d:status().generations[1].workers[2]
			return now.pid ~= second and now.state == "serving"
		end, 10, "another second worker")
		assert.equal("Error: unloaded on 1 host in worker 1, but not in all: worker 2: cannot "
			.. "unload: module 'who' is not loaded", (last "module unload who":gsub(" %(.*$", "")))
		d:rebase_fds()
		d:stop()
	end)
end)
