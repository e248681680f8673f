--- A small template language, Prosody's: {name} is replaced by a value, escaped.
--   {name!} unescaped · {a.b} a field of a table · {name|filter|filter} through functions
--   {name?text} text if there is no value · {name&text} text if there is one · {name~text} text if
--   there is none · {list#text} for each item, {item} and {idx} in it · {map%text} for each pair

local interpolation <const> = {}

local head <const> = "^([%a_][%w_.]*)(!?)(%p?)()"

local function look_up(values, name)
	local value = values[name]
	if value or not name:find(".", 2, true) then
		return value
	end
	value = values
	for word in name:gmatch "[^.]+" do
		value = value[word]
		if not value then
			return value
		end
	end
	return value
end

local function each(iterate, value, values, text, render)
	if type(value) ~= "table" then
		return ""
	end
	local out <const> = {}
	local inner <const> = setmetatable({}, { __index = values })
	for key, item in iterate(value) do
		inner.idx, inner.item = key, item
		out[#out + 1] = render(text, inner)
	end
	return table.concat(out)
end

-- What a modifier does: fn(value, values, text, render); nil: the value itself is meant.
local blocks <const> = {
	["#"] = function (...) return each(ipairs, ...) end,
	["%"] = function (...) return each(pairs, ...) end,
	["&"] = function (value, values, text, render)
		return value and render(text, values) or ""
	end,
	["~"] = function (value, values, text, render)
		return value and "" or render(text, values)
	end,
	["?"] = function (value, values, text, render)
		if not value then
			return render(text, values)
		end
	end,
}

local function apply_filters(filters, block, at, value, raw, mode)
	while mode == "|" do
		local name
		name, raw, mode, at = block:match(head, at)
		local filter = filters[name]
		if value ~= nil and filter then
			value = filter(value)
		end
	end
	return value, raw, mode, at
end

--- @param pattern what a placeholder looks like, its braces included: "%b{}"
-- @param escape fn(text) -> text
-- @param filters optional table of functions
-- @return render(template, values)
function interpolation.new(pattern, escape, filters)
	local function render(template, values)
		return (template:gsub(pattern, function (block)
			block = block:sub(2, -2)
			local name, raw, mode, at = block:match(head)
			if not name then
				return nil
			end
			local value = look_up(values, name)
			if filters then
				value, raw, mode, at = apply_filters(filters, block, at, value, raw, mode)
			end
			local done = blocks[mode] and blocks[mode](value, values, block:sub(at), render)
			if done or value == nil then
				return done
			end
			value = tostring(value)
			return raw == "!" and value or escape(value)
		end))
	end
	return render
end

return interpolation
