-- Section log: level, follow. Prosody's watch:log is the same.

local logger <const> = require "util.logger"
local wait <const> = require "core.console.wait"

local lib <const> = {}

local levels <const> = { "debug", "info", "warn", "error" }
local number <const> = { debug = 1, info = 2, warn = 3, error = 4 }

local added -- the sink that `log level` has added to the log

local function from_level(level)
	local list <const> = {}
	for i = number[level], #levels do
		list[#list + 1] = levels[i]
	end
	return list
end

-- The levels that the config leaves out, written where the host's console log goes.
local function to_console(source, level, message)
	io.stderr:write(("%s %s\t%s\t%s\n"):format(os.date("%b %d %H:%M:%S"), source, level, message))
end

local function level_command(_, level)
	if not level then
		return true, added and "more than the config says" or "as the config says"
	elseif level ~= "config" and not number[level] then
		return nil, ("no level '%s' (debug, or config = as the config says)"):format(level)
	end
	if added then
		logger.remove_sink(added)
		added = nil
	end
	if level == "debug" then
		added = logger.add_simple_sink(to_console, { "debug" })
		return true, "debug lines go to standard error, until 'log level config' or a reload"
	elseif level == "config" then
		return true, "as the config says"
	end
	return nil, "only 'debug' can be added at run time; what is logged less is said in the config"
end

local function follow(self, level, flags)
	level = level or "info"
	flags = flags or {}
	if not number[level] then
		return nil, ("no level '%s' (debug, info, warn, error)"):format(level)
	end
	local session <const> = self.session
	local sink <const> = logger.add_simple_sink(function (source, line_level, message)
		if (not flags.module or source:gsub("^.*:", ""):gsub("^mod_", "") == flags.module)
		and not session.finished then
			session.print(("%s\t%s\t%s"):format(source, line_level, message))
		end
	end, from_level(level))
	wait.until_closed(session, flags["for"])
	logger.remove_sink(sink)
	return true, "no more lines are shown"
end

--- @return list of commands
function lib.commands()
	local follow_flags <const> = {
		{ name = "module", value = "NAME", help = "only lines of this module" },
		{ name = "for", value = "SECONDS", type = "period", help = "ends after this" },
	}
	local level <const> = { { name = "level", type = "level", optional = true } }
	return {
		{ section = "log", section_desc = "the log: level, follow", name = "level",
			desc = "adds debug lines, or takes them away", args = level, handler = level_command,
			everywhere = true },
		{ section = "log", name = "follow", desc = "shows log lines as they come", args = level,
			flags = follow_flags, handler = follow },
		{ section = "watch", section_desc = "as in Prosody", name = "log",
			desc = "as log follow", args = level, flags = follow_flags, handler = follow },
	}
end

lib.sources = {
	level = function ()
		return { "debug", "info", "warn", "error", "config" }
	end,
}

return lib
