--- The phases of a stop as they pass: plain lines, or on a terminal bars.

local client <const> = require "cli.client"
local status_text <const> = require "core.status_text"

local progress <const> = {}
local methods <const> = {}
methods.__index = methods

--- Whether bars are drawn. @param ctx of the command
function progress.wanted(ctx)
	return ctx.ui.terminal and not ctx.ui.json and not ctx.ui.quiet
end

--- @param ctx of the command
function progress.new(ctx)
	return setmetatable({ ui = ctx.ui, lines = 0, bars = progress.wanted(ctx) }, methods)
end

-- Draws over what was drawn before.
local function redraw(self, stop)
	local lines <const> = status_text.stop(stop, 24)
	if self.lines > 0 then
		io.stdout:write(("\27[%dA"):format(self.lines))
	end
	for _, line in ipairs(lines) do
		io.stdout:write(line, "\27[K\n")
	end
	io.stdout:flush()
	self.lines = #lines
end

--- A part of the answer to `stop --wait`.
function methods:part(part)
	local event <const> = client.value(part.event)
	local stop <const> = type(event) == "table" and client.value(event.stop)
	if part.error then
		self.ui:note(self.ui:paint("red", part.error))
	elseif self.bars and stop then
		redraw(self, stop)
	elseif self.bars and self.lines > 0 then
		return -- between two pictures a line would tear them apart
	elseif part.output and part.output ~= "" and not self.ui.quiet then
		self.ui:out(part.output)
		io.stdout:flush()
	end
end

function methods:close()
	self.lines = 0
end

return progress
