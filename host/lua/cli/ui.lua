--- What a command says: text for people, one JSON object for programs, and the exit status.

local sys <const> = require "host.sys"

local ui <const> = {}
local methods <const> = {}
methods.__index = methods

ui.exit = { done = 0, failed = 1, usage = 2, not_running = 3, timeout = 4, degraded = 5 }

local colours <const> = { red = 31, green = 32, yellow = 33, blue = 34, bold = 1, dim = 2 }

local function wants_colour(mode)
	if mode == "always" or mode == "never" then
		return mode == "always"
	end
	return sys.isatty(1) and os.getenv("TERM") ~= "dumb" and (os.getenv("NO_COLOR") or "") == ""
end

--- @param opts values of the flags: json, quiet, color
function ui.new(opts)
	local self <const> = setmetatable({ json = opts.json, quiet = opts.quiet }, methods)
	self.colour = wants_colour(opts.color)
	self.terminal = sys.isatty(1)
	io.stdout:setvbuf("line") -- who reads along in a pipe sees each line when it is said
	return self
end

--- @param colour a word of the table above @return text, coloured if colours are wanted
function methods:paint(colour, text)
	if not self.colour then
		return text
	end
	return ("\27[%dm%s\27[0m"):format(colours[colour], text)
end

--- Columns of the terminal, or 80.
function methods:width()
	local columns <const> = sys.winsize(1)
	return columns and columns > 1 and columns or 80
end

--- Rows of the terminal, or 24.
function methods:height()
	local _, rows <const> = sys.winsize(1)
	return rows and rows > 1 and rows or 24
end

--- The command's own output; nothing of it in JSON mode.
function methods:out(...)
	if not self.json then
		io.stdout:write(table.concat({ ... }), "\n")
	end
end

--- A word to the person who waits: progress, notes.
function methods:note(...)
	if not self.quiet then
		io.stderr:write(table.concat({ ... }), "\n")
	end
end

local answer_mt <const> = { __jsonorder = { "ok", "exit", "error", "result" } }

--- Prints one JSON object as one line.
function methods:object(value)
	local json_fields <const> = require "core.json_fields"
	if getmetatable(value) == nil then
		setmetatable(value, answer_mt)
	end
	io.stdout:write(json_fields.encode(value), "\n")
	io.stdout:flush()
end

local function null()
	return require "util.json".null
end

--- The end of a command that did its work.
-- @param message text for people (nil: none)
-- @param result value for programs
function methods:done(message, result)
	if self.json then
		self:object { ok = true, exit = 0, error = null(),
			result = result == nil and (message or null()) or result }
	elseif message and not self.quiet then
		io.stdout:write(message, "\n")
	end
	return 0
end

--- The end of a command that did not. @param code exit status @param message one line
function methods:fail(code, message, result)
	io.stderr:write("gadwall: ", message, "\n")
	if self.json then
		self:object { ok = false, exit = code, error = message, result = result or null() }
	end
	return code
end

--- `cannot VERB: REASON (what to do)`, the one form of a refusal.
function methods:refuse(code, verb, reason, advice)
	local tail <const> = advice and (" (%s)"):format(advice) or ""
	return self:fail(code, ("cannot %s: %s%s"):format(verb, reason, tail))
end

return ui
