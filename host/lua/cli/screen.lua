--- A picture on a terminal that is drawn over itself: no line wraps, none is left behind, also when
-- the window changes its size.

local status_text <const> = require "core.status_text"

local screen <const> = {}
local methods <const> = {}
methods.__index = methods

-- What a line is painted with.
local colours <const> = { { "^error:", "red" }, { "does not answer", "red" },
	{ "^warn:", "yellow" }, { "held by", "yellow" }, { "^gadwall ", "bold" } }

local function is_utf8()
	for _, name in ipairs { "LC_ALL", "LC_CTYPE", "LANG" } do
		local value <const> = os.getenv(name)
		if value and value ~= "" then
			return value:upper():find("UTF%-?8") ~= nil
		end
	end
	return false
end

--- @param ui of the command
function screen.new(ui)
	if ui.terminal and not is_utf8() then
		status_text.plain()
	end
	return setmetatable({ ui = ui, height = 0 }, methods)
end

--- A line in its colour.
function screen.paint(ui, line)
	for _, rule in ipairs(colours) do
		if line:find(rule[1]) then
			return ui:paint(rule[2], line)
		end
	end
	return line
end

-- A window that was made narrower has wrapped what was drawn: nobody knows any more where it is.
local function to_top(self, columns)
	if self.columns and self.columns ~= columns then
		return "\27[H\27[2J"
	elseif self.height > 0 then
		return ("\27[%dA\r"):format(self.height)
	end
	return ""
end

--- Draws lines over the last picture; what does not fit is left out.
function methods:draw(lines)
	local columns <const>, rows <const> = self.ui:width(), self.ui:height()
	local out <const> = { to_top(self, columns) }
	local height <const> = math.min(#lines, rows - 1)
	for i = 1, height do
		-- The last column stays free: a terminal may wrap when it is filled.
		out[#out + 1] = screen.paint(self.ui, status_text.fit(lines[i], columns - 1)) .. "\27[K\n"
	end
	out[#out + 1] = "\27[J"
	self.height, self.columns = height, columns
	io.stdout:write(table.concat(out))
	io.stdout:flush()
end

--- The picture stays; what is written next stands below it.
function methods:close()
	self.height, self.columns = 0, nil
end

return screen
