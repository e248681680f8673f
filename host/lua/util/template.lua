--- Stanzas from XML text with {placeholders}. The text is the program's own, so a small strict
-- reader is enough: elements, attributes, text, the five entities.

local stanza <const> = require "util.stanza"

local entities <const> = { amp = "&", lt = "<", gt = ">", quot = '"', apos = "'" }

local function unescape(text)
	return (text:gsub("&(%w+);", entities))
end

local function fill(text, data)
	return (text:gsub("{([^}]*)}", function (name)
		return data[name] == nil and "" or tostring(data[name])
	end))
end

local function read_attributes(text, where)
	local attributes <const> = {}
	local rest = text:gsub("%s*([%w:_.-]+)%s*=%s*(['\"])(.-)%2", function (name, _, value)
		attributes[name] = unescape(value)
		return ""
	end)
	if rest:find "%S" then
		error(where .. ": not an attribute: " .. rest, 0)
	end
	return attributes
end

local function add_text(open, text)
	text = unescape(text:match "^%s*(.-)%s*$")
	if text ~= "" then
		table.insert(open, text)
	end
end

-- A tree of { name =, attr =, children… }.
local function parse(text, where)
	local root <const> = {}
	local open <const> = { root }
	local at = 1
	for before, slash, name, attributes, empty, after in
		text:gmatch "([^<]*)<(/?)([%w:_.-]+)(.-)(/?)>()" do
		local top = open[#open]
		add_text(top, before)
		if slash == "/" then
			if top.name ~= name then
				error(where .. ": </" .. name .. "> closes nothing", 0)
			end
			table.remove(open)
		else
			local element = { name = name, attr = read_attributes(attributes, where) }
			table.insert(top, element)
			if empty == "" then
				table.insert(open, element)
			end
		end
		at = after
	end
	if #open > 1 or #root ~= 1 or type(root[1]) ~= "table" or text:sub(at):find "%S" then
		error(where .. ": not one whole element", 0)
	end
	return root[1]
end

-- A text that is nothing but a placeholder may stand for a stanza.
local function fill_child(text, data)
	local value <const> = data[text:match "^{([^}]*)}$"]
	return stanza.is_stanza(value) and value or fill(text, data)
end

local function build(tree, data, parent_ns)
	local attributes <const> = {}
	for name, value in pairs(tree.attr) do
		attributes[name] = fill(value, data)
	end
	attributes.xmlns = attributes.xmlns or parent_ns
	local new <const> = stanza.stanza(tree.name, attributes)
	for _, child in ipairs(tree) do
		if type(child) == "table" then
			new:add_direct_child(build(child, data, attributes.xmlns))
		else
			local filled = fill_child(child, data)
			if filled ~= "" then
				new:add_direct_child(filled)
			end
		end
	end
	return new
end

local known <const> = {}
local mt <const> = { __tostring = function (template) return template.name end }

--- @param text XML of one element
-- @return template with apply(data) -> stanza; data: name -> text, or a stanza where the
-- placeholder is all of an element's text; raises if the text is no XML
return function (text)
	if not known[text] then
		local info = debug.getinfo(2, "Sl") or { short_src = "?", currentline = 0 }
		local name = ("template(%s:%d)"):format(info.short_src:match "[^/]*$", info.currentline)
		local tree <const> = parse(text, name)
		known[text] = setmetatable({ name = name, text = text, apply = function (data)
			return build(tree, data or {})
		end }, mt)
	end
	return known[text]
end
