-- Whose code runs while the host stops, for the case that it never gives control back: a loop in C
-- that no hook reaches. The keeper ends such a worker for its missing beat; the log line and the
-- report that say who it was are laid ready before.

local blame <const> = {}

local report -- function(event, module, error) → JSON text, path; set by core/stop.lua
local last, line, text, path

local function keeper()
	return require "core.verbs".keeper()
end

--- Joins this file to the stop.
-- @param fn function(event, module, error) → the report as JSON and its file, or nil outside a stop
function blame.init(fn)
	report = fn
end

--- Somebody else's code begins.
-- @param event what it is for: an event's name, "ongoodbye", "module.unload"
-- @param module name of the module, or nil
-- @param place optional "file:line"
function blame.enter(event, module, place)
	local k = keeper()
	if not k or not report then
		return
	end
	local key = event .. "/" .. (module or "")
	if key ~= last then
		text, path = report(event, module, "does not return: the worker was ended for its missing beat")
		if not text then
			return
		end
		last = key
		line = ("%s in %s%s does not return: the worker is ended"):format(event,
			module and "mod_" .. module or "the host", place and " (" .. place .. ")" or "")
	end
	k.blame(line, path and text .. "\n", path)
end

--- It has returned, or waits.
function blame.leave()
	local k = keeper()
	if k then
		k.blame()
	end
end

--- What was laid ready is out of date: a phase has ended, an error was noted.
function blame.renew()
	last = nil
end

return blame
