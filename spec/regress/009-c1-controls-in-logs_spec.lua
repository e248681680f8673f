-- U+009B from a peer went into the log and to the console as it was: terminals take it for the
-- start of a command, as they do ESC [.
local daemon <const> = require "spec.support.daemon"

local hostile <const> = [[
	module:set_global()
	module:hook("server-started", function ()
		module:log("info", "said: %s|", "a\u{9b}2J\nb\27[2J\u{e9}")
	end)
]]

describe("a line of the log", function ()
	after_each(daemon.finish_all)

	it("holds no control character of either range, and is one line", function ()
		local d <const> = daemon.start { modules = { hostile = hostile },
			config = 'modules_enabled = { "hostile", "admin_shell", "admin_socket" }' }
		local line <const> = d:wait_log("said: ")
		assert.matches("said: a\u{fffd}2J\\n b\u{241b}[2J\u{e9}|", line, 1, true)
		local _, last = d:console([[> "x\u{9b}2J"]])
		assert.matches([[x\x9b2J]], last, 1, true)
		d:stop()
	end)
end)
