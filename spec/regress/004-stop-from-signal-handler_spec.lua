-- Prosody's mod_posix answers SIGTERM by calling prosody.shutdown. The keeper had counted the
-- signal as a stop request and took the call for its repetition within one second, so that
-- nothing stopped at all.
local daemon <const> = require "spec.support.daemon"

describe("a module that handles SIGTERM and calls prosody.shutdown", function ()
	after_each(daemon.finish_all)

	it("stops the host, once", function ()
		local d = daemon.start {
			config = 'modules_enabled = { "posixlike" }',
			modules = { posixlike = [[
				require "util.signal".signal("SIGTERM", function ()
					prosody.main_thread:run(function () prosody.shutdown("my own words") end)
				end)
			]] },
		}
		d:signal("TERM")
		assert.equal(0, d:wait_exit(5))
		assert.equal(1, #d:log_lines("lifecycle.*serving %-> stopping"))
		d:wait_log("my own words")
	end)
end)
