-- "The keeper's lines never reach the files of `log`: after --detach nobody finds that a worker
-- died, or why an upgrade failed."

local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local upgrade <const> = require "spec.support.upgrade"
local wait <const> = require "spec.support.wait"

local config <const> = [[
	modules_enabled = { "admin_socket", "admin_shell" }; upgrade_probation = 0
	restart_limit = { 16, 1 }; restart_backoff = { 0.1, 0.1 }
	log = { info = "all.log", { to = "file", filename = "bad.log", timestamps = false,
		levels = { min = "warn" } } }
]]

describe("regress: the keeper's lines in the log files", function ()
	after_each(daemon.finish_all)

	local function read(d, name)
		return process.read_file(("%s/data/%s"):format(d.dir, name)) or ""
	end

	local function count(text, pattern)
		return select(2, text:gsub(pattern, ""))
	end

	-- Waits until a file has a line so often.
	local function has(d, name, pattern, times)
		wait.until_true(function () return count(read(d, name), pattern) == (times or 1) end, 30,
			("%s in %s"):format(pattern, name))
	end

	local function start(spec)
		spec = spec or {}
		spec.config, spec.fds = config, false
		spec.allow = { "signal 9", "SIGKILL", "SIGABRT", "not ready" }
		return daemon.start(spec)
	end

	it("are all there when nobody has its standard error", function ()
		local d <const> = daemon.start { config = config, ready = false, fds = false,
			args = { "--detach" } }
		assert.equal(0, d:wait_exit())
		local keeper <const> = assert(tonumber(d:state().pid))
		process.kill(assert(tonumber(read(d, "../run/state"):match "\nworker %d+ %d+ (%d+)")), "KILL")
		has(d, "bad.log", "keeper\twarn\tworker g1%.1 ended: signal 9 %(SIGKILL%), restarting")
		has(d, "all.log", "%u%l%l %d%d %d%d:%d%d:%d%d keeper\twarn\tworker g1%.1 ended: signal 9")
		has(d, "all.log", "keeper\tinfo\tworker g1%.1 is ready", 2)
		process.kill(keeper, "TERM")
		wait.until_true(function () return not process.alive(keeper) end, 20, "the keeper's end")
		has(d, "all.log", "keeper\tinfo\tSIGTERM from pid")
		has(d, "all.log", "keeper\tinfo\tended with status 0\n")
		assert.equal(0, count(read(d, "bad.log"), "\tinfo\t"))
	end)

	it("are there at level debug too, which standard error is spared", function ()
		local d <const> = daemon.start { config = (config:gsub("info =", "debug =")), fds = false,
			env = { NOTIFY_SOCKET = "/nonexistent/notify" } }
		assert.equal(0, (d:run "reload"))
		wait.until_true(function ()
			return read(d, "all.log"):find "keeper\tdebug\t[^\n]* did not hear RELOADING=1"
		end, 10, "a debug line of the keeper")
		assert.is_nil(d:log():find "did not hear")
		d:stop()
	end)

	it("follow rotation, a config with other files, and an upgrade", function ()
		local d <const> = start()
		has(d, "all.log", "keeper\tinfo\tworker g1%.1 is ready")
		assert(os.rename(d.dir .. "/data/all.log", d.dir .. "/data/all.1"))
		assert.equal(0, (d:run "reload"))
		process.kill(d:worker_pid(), "KILL")
		has(d, "all.log", "keeper\twarn\tworker g1%.1 ended: signal 9")
		has(d, "all.log", "keeper\tinfo\tworker g1%.1 is ready")
		d:write_config((config:gsub("bad%.log", "worse.log")))
		assert.equal(0, (d:run "reload"))
		process.kill(d:worker_pid(), "KILL")
		has(d, "worse.log", "keeper\twarn\tworker g1%.1 ended: signal 9")
		assert.equal(1, count(read(d, "bad.log"), "worker g1%.1 ended"))
		has(d, "all.log", "keeper\tinfo\tworker g1%.1 is ready", 2)
		d:write_config((config:gsub("all%.log", "new.log")))
		assert.equal(0, (d:run "upgrade"))
		has(d, "new.log", "keeper\tinfo\tgeneration 1 has ended")
		assert.equal(0, count(read(d, "all.log"), "generation 1 has ended"))
		assert.equal(0, count(read(d, "all.1"), "signal 9"))
		d:signal "TERM"
		assert.equal(0, d:wait_exit())
		has(d, "new.log", "keeper\tinfo\tended with status 0\n")
	end)

	it("stay where they were after an upgrade that failed, and say why", function ()
		local d <const> = start()
		-- the new generation gets as far as its own files
		d:write_config(config:gsub("all%.log", "new.log")
			.. 'modules_enabled = { "admin_socket", "bad" }; start_timeout = 0.5')
		d:write_module("bad", 'module:hook_global("server-starting", function (e) e:hold("bad", 60) end)')
		assert.equal(1, (d:run "upgrade"))
		has(d, "all.log", "keeper\t%l+\tupgrade 1: failed in load: [^\n]+")
		assert.equal(0, count(read(d, "new.log"), "keeper\t"))
		d:stop()
	end)

	it("outlive a change of the keeper's binary, and the keeper", function ()
		local d <const> = start { exit = false }
		if upgrade.has_failpoints() then
			d:signal(37) -- SIGRTMIN+3: the keeper changes to the binary that it has
			has(d, "all.log", "keeper\tinfo\t" .. "the keeper runs [^\n]* now, same pid")
		end
		local worker <const> = d:worker_pid()
		d:signal "KILL"
		d:wait_exit()
		wait.until_true(function () return read(d, "all.log"):find "has died" end, 20)
		local e <const> = daemon.start { dir = d.dir, config_file = d.config_file, fds = false,
			log = "log2", allow = { "signal 9" } }
		e:wait_log("worker g1%.1 .*" .. worker)
		process.kill(worker, "KILL")
		has(e, "all.log", "keeper\twarn\tworker g1%.1 ended")
		e:stop()
	end)
end)
