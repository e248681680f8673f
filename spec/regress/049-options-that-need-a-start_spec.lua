-- "`pidfile` and `runtime_path` are said to change with an upgrade. The upgrade is refused, or done
-- without a word while the old PID file stays."

local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"

local function config(more)
	return ([[
		modules_enabled = { "admin_socket", "admin_shell" }
		upgrade_probation = 0.2; %s
	]]):format(more)
end

describe("regress: an option that only a new start puts in force", function ()
	after_each(daemon.finish_all)

	it("is named with that by reload, config diff and an upgrade", function ()
		local d <const> = daemon.start { fds = false, config = config "",
			allow = { "takes effect after", "keep their old values" } }
		d:write_config(config 'pidfile = "other.pid"')
		local code, out = d:run("reload")
		assert.equal(0, code)
		assert.matches("'pidfile' has changed and takes effect after: stop and a new start", out)
		local _, diff = d:run("shell", "config", "diff")
		assert.matches("takes effect after: stop and a new start", diff)
		local upgraded, said = d:run("upgrade")
		assert.equal(0, upgraded)
		assert.matches("pidfile has changed and needs a stop and a new start", said)
		assert.is_truthy(process.read_file(d.dir .. "/run/gadwall.pid"))
		d:stop()
		assert.is_nil(process.read_file(d.dir .. "/run/gadwall.pid"))
	end)

	it("is a reason to refuse an upgrade where the host would be found no more", function ()
		local d <const> = daemon.start { fds = false, config = config "",
			allow = { "cannot change in an upgrade" } }
		d:write_config(config 'runtime_path = "elsewhere"')
		local code, _, err = d:run("upgrade")
		assert.equal(1, code)
		assert.matches("runtime_path cannot change in an upgrade: it needs a stop and a new start", err)
	end)
end)
