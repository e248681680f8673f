--- The phases of a stop as they pass: plain lines, or on a terminal bars.

local client <const> = require "cli.client"
local screen <const> = require "cli.screen"
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
	return setmetatable({ ui = ctx.ui, bars = progress.wanted(ctx),
		screen = screen.new(ctx.ui) }, methods)
end

local function picture(self, stop, flight)
	local lines <const> = status_text.stop(stop, self.ui:width())
	lines[#lines + 1] = status_text.in_flight(flight)
	return lines
end

--- A part of the answer to `stop --wait`.
function methods:part(part)
	local event <const> = client.value(part.event)
	local stop <const> = type(event) == "table" and client.value(event.stop)
	if part.error then
		self.ui:note(self.ui:paint("red", part.error))
	elseif self.bars and stop then
		self.screen:draw(picture(self, stop, event.in_flight))
	elseif self.bars and self.screen.height > 0 then
		return -- between two pictures a line would tear them apart
	elseif part.output and part.output ~= "" and not self.ui.quiet then
		self.ui:out(part.output)
		io.stdout:flush()
	end
end

function methods:close()
	self.screen:close()
end

return progress
