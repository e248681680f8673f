-- "A module that was loaded in the console went away at the next `reload`, while the answer said
-- that nothing had changed."

local daemon <const> = require "spec.support.daemon"

local config <const> = [[
	modules_enabled = { "admin_socket", "admin_shell" %s }
	run_as_root = true
]]

describe("regress: a module loaded by hand", function ()
	after_each(daemon.finish_all)

	local function loaded(d, name)
		local lines <const> = d:console(("> return tostring(require 'core.modulemanager'"
			.. ".is_loaded('localhost', %q))"):format(name))
		return lines[#lines]:find "true" ~= nil
	end

	it("outlives reloads of the config and of itself; what the config enabled goes", function ()
		local d <const> = daemon.start {
			config = config:format(', "listed"'),
			modules = {
				hand = [[ module:depends "needed" ]], needed = "", listed = [[ module:depends "below" ]],
				below = "",
			},
		}
		d:console "module load hand"
		assert.equal(0, (d:run("reload")))
		assert.is_true(loaded(d, "hand") and loaded(d, "needed") and loaded(d, "listed"))
		assert.equal(0, (d:run("reload", "hand")))
		d:write_config(config:format "")
		assert.equal(0, (d:run("reload")))
		assert.is_true(loaded(d, "hand") and loaded(d, "needed"))
		assert.is_false(loaded(d, "listed") or loaded(d, "below"))
		-- Once the config has it, the config decides.
		d:write_config(config:format ', "hand"')
		assert.equal(0, (d:run("reload")))
		d:write_config(config:format "")
		assert.equal(0, (d:run("reload")))
		assert.is_false(loaded(d, "hand") or loaded(d, "needed"))
		d:stop()
	end)
end)
