--- Features that a module may ask for in its head: `--% requires: NAME` (Prosody 13's names, and
-- our own).

local set <const> = require "util.set"

return {
	available = set.new {
		-- Prosody's
		"mod_http", "mod_admin_shell", "getopt-enum", "getopt-interval", "getopt-period",
		"getopt-integer", "http-json", "module-ready", "signal-events", "started-promise", "keyval-store",
		-- ours
		"gadwall", "shutdown-phases", "holds", "lame-duck",
	},
}
