--- The keeper's lines belong in the files and the syslog of the option `log` too. It opens nothing
-- itself: it gets our descriptors, to write to also while no worker lives (proc/log_files.c).

local log_keeper <const> = {}

local bits <const> = { debug = 1, info = 2, warn = 4, error = 8 }

local function keeper()
	local ok, found = pcall(require, "host.keeper")
	return ok and type(found) == "table" and found.hello and found or nil
end

local prefix <const> = "keep=/=log/"

-- A longer one does not fit into the name; the keeper then writes its default.
local pattern_max <const> = 100

local function hex(text)
	return (text:gsub(".", function (byte) return ("%02x"):format(byte:byte()) end))
end

-- How the keeper writes a line there.
local function how(open)
	local pattern <const> = open.rule.timestamps
	if open.syslog then
		return ("s%d.%s"):format(open.syslog.facility, hex(open.syslog.name:sub(1, pattern_max)))
	elseif pattern == false then
		return "-"
	end
	return "t" .. (type(pattern) == "string" and #pattern <= pattern_max and hex(pattern) or "")
end

-- As proc/log_files.c reads it.
local function name_of(number, open, wanted_levels)
	local mask = 0
	for level in pairs(wanted_levels(open.rule.levels)) do
		mask = mask | (bits[level] or 0)
	end
	return ("%s%d/%d/%d/%s"):format(prefix, prosody.generation or 1, number, mask, how(open))
end

-- One that this generation has given before is offered to each of its workers.
local function give(held_by, name, fd)
	local offered <const> = held_by.take(name)
	if offered then
		require "host.sys".close(offered)
	end
	held_by.keep(name, fd)
end

-- What the keeper has for this generation, from this worker or from one before it; and those of
-- another one, which were offered to us: to let go of them leaves them to their own.
local function given(held_by)
	local names <const> = {}
	for _, entry in ipairs(held_by.held()) do
		names[entry.name] = entry.name:sub(1, #prefix) == prefix or nil
	end
	return names
end

--- Gives the keeper the open files in place of those before.
-- @param files list of { rule, and file or syslog } (core/log_sinks.lua)
-- @param wanted_levels function(criteria of a rule) → set of level names
function log_keeper.tell(files, wanted_levels)
	local held_by <const> = keeper()
	if not held_by then
		return
	end
	local old <const> = given(held_by)
	for number, open in ipairs(files) do
		local name <const> = name_of(number, open, wanted_levels)
		old[name] = nil
		give(held_by, name, open.syslog and open.syslog.fd or require "posix.stdio".fileno(open.file))
	end
	for name in pairs(old) do
		held_by.unhold(name)
	end
end

return log_keeper
