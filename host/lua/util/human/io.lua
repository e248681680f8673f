-- Text for people; API of Prosody 13's util.human.io, without what asks questions on a terminal.

local array <const> = require "util.array"

local SEPARATOR <const> = " | "

-- Columns of a text; what is not UTF-8 counts bytes.
local function len(s)
	return utf8.len(s) or #s
end

local function padright(s, width)
	return s .. (" "):rep(width - len(s))
end

local function padleft(s, width)
	return (" "):rep(width - len(s)) .. s
end

--- Cuts to `width` columns, the last of which is then an ellipsis.
local function ellipsis(s, width)
	if len(s) <= width then return s end
	if width <= 1 then return "…" end
	if not utf8.len(s) then return s:sub(1, width - 1) .. "…" end
	return s:sub(1, utf8.offset(s, width) - 1) .. "…"
end

--- Makes the first letter upper case.
local function capitalize(s)
	return (s:gsub("^%l", string.upper))
end

--- Columns of the terminal: COLUMNS, or standard output's size, or `default`.
local function term_width(default)
	local columns = tonumber(os.getenv "COLUMNS")
	if columns then return columns end
	local ok, sys = pcall(require, "host.sys")
	columns = ok and sys.isatty(1) and sys.winsize(1)
	return columns and columns > 0 and columns or default
end

local function is_proportional(width)
	return type(width) == "string" and width:match("^([%d.]+)[p%%]$")
end

-- What fixed columns leave is shared between those with "2p" or "50%".
local function column_widths(columns, max_width)
	local widths, total = {}, 0
	local free = max_width - #SEPARATOR * (#columns - 1)
	for i, column in ipairs(columns) do
		local share = is_proportional(column.width)
		if share then
			total = total + tonumber(share)
		else
			local title = column.title
			widths[i] = math.max(tonumber(column.width) or 0, title and #title + 1 or 0)
			free = free - widths[i]
		end
	end
	for i, column in ipairs(columns) do
		local share = is_proportional(column.width)
		if share then widths[i] = math.max(math.floor(free * tonumber(share) / total), 0) end
	end
	return widths
end

local function cell_text(column, value, row, width)
	if row and column.mapper then value = column.mapper(value, row, width, column) end
	if value == nil then value = column.default or "" end
	local text = tostring(value)
	if len(text) > width then return (column.ellipsis or ellipsis)(text, width) end
	return (column.align == "right" and padleft or padright)(text, width)
end

--- A table for people.
-- @param columns list of { title, key, width = columns or "2p" or "50%", align = "right", default,
--   mapper(value, row, width, column), ellipsis(text, width) }
-- @param max_width columns of the whole line; default: the terminal, or 80
-- @return function (row) -> line; row: a table by `key`, or nil for the titles; and max_width
local function new_table(columns, max_width)
	max_width = max_width or term_width(80)
	local widths = column_widths(columns, max_width)
	return function (row)
		local titles = not row and array.pluck(columns, "title", "")
		local cells = {}
		for i, column in ipairs(columns) do
			local value
			if row then value = row[column.key or i] else value = titles[i] end
			cells[i] = cell_text(column, value, row, widths[i])
		end
		return table.concat(cells, SEPARATOR)
	end, max_width
end

local seconds_of <const> = {
	s = 1, min = 60, h = 3600, ho = 3600, d = 86400, w = 604800, mon = 2678400,
	y = 31556952, -- 365.2425 days
}
local seconds_of_lax <const> = setmetatable({
	m = seconds_of.mon, mo = seconds_of.mon, mi = seconds_of.min,
}, { __index = seconds_of })

--- Reads "90s", "5 min", "2h", "1 day", "3w", "6 months", "1y". @return seconds, or nil
local function parse_duration(text)
	local n, unit = text:lower():match("(%d+)%s*([smhdwy]?[io]?n?)")
	if not n or not seconds_of[unit] then return nil end
	return tonumber(n) * seconds_of[unit]
end

--- The same, but no unit is seconds, and "m" a month. @return seconds, or nil
local function parse_duration_lax(text)
	local n, unit = text:lower():match("(%d+)%s*([smhdwy]?[io]?)")
	if not n then return nil end
	return tonumber(n) * (seconds_of_lax[unit] or 1)
end

return {
	len = len, padleft = padleft, padright = padright, ellipsis = ellipsis, capitalize = capitalize,
	term_width = term_width, table = new_table,
	parse_duration = parse_duration, parse_duration_lax = parse_duration_lax,
	printf = function (fmt, ...) print(fmt:format(...)) end,
}
