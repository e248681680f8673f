-- Starts Prosody itself, unmodified, on our net.server, as network_backend = "gadwall":
--   gadwall lua spec/support/differential/prosody_shim.lua FOLDER_OF_PROSODY SCRIPT WORK_FOLDER
-- WORK_FOLDER holds prosody.cfg.lua and data/.

local folder <const>, script <const>, work <const> = arg[1], arg[2], arg[3]

local builtin <const> = {
	_G = true, coroutine = true, debug = true, io = true, math = true, os = true, package = true,
	string = true, table = true, utf8 = true,
}

-- Ours keep what they have required; by name, Prosody gets its own.
local server <const> = require "net.server"
for name in pairs(package.loaded) do
	if not builtin[name] and not name:find("^host%.") then
		package.loaded[name] = nil
	end
end
table.remove(package.searchers, 3)
table.remove(package.searchers, 2)
package.preload["net.server_gadwall"] = function () return server end

local file <close> = assert(io.open(script))
local settings <const> = {
	CFG_SOURCEDIR = folder, CFG_PLUGINDIR = folder .. "/modules/",
	CFG_DATADIR = work .. "/data", CFG_CONFIGDIR = work,
}
local text <const> = file:read("a"):gsub("^#![^\n]*", ""):gsub("(CFG_%u+)='[^']*'", function (name)
	return settings[name] and ("%s=%q"):format(name, settings[name])
end)
arg = { [0] = "prosody", "--config", work .. "/prosody.cfg.lua", "-F" } -- luacheck: ignore 121
assert(load(text, "=prosody"))(table.unpack(arg))
