--- The stanza class: a tree of { name =, attr =, tags = { child elements }, children… } that knows
-- how to write itself as XML. This host speaks no XMPP; modules use it for markup and xml_escape.

local encodings <const> = require "util.encodings"
local queries <const> = require "util.stanza_query"

local stanza <const> = {}

local mt <const> = { __name = "stanza" }
mt.__index = mt
stanza.stanza_mt = mt

local function is_stanza(value)
	return getmetatable(value) == mt
end
stanza.is_stanza = is_stanza

-- Tab, line feed, carriage return and what prints; in attribute names \1 parts namespace and name.
local function is_clean(text, forbidden)
	return not text:find(forbidden) and encodings.utf8.valid(text)
end

local function fail(what, why)
	error(("invalid %s: %s"):format(what, why), 4)
end

local function check_name(name, what)
	if type(name) ~= "string" then
		fail(what .. " name", "expected string, got " .. type(name))
	elseif name == "" then
		fail(what .. " name", "empty string")
	elseif name:find "[<>& '\"]" then
		fail(what .. " name", "contains invalid characters")
	elseif not is_clean(name, what == "attribute" and "[^\1\9\10\13\32-\255]"
		or "[^\9\10\13\32-\255]") then
		fail(what .. " name", "contains control characters or invalid utf8")
	end
end

local function check_text(text, what)
	if type(text) ~= "string" then
		fail(what .. " value", "expected string, got " .. type(text))
	elseif text:find "[^\9\10\13\32-\255]" then
		fail(what .. " value", "contains control characters")
	elseif not encodings.utf8.valid(text) then
		fail(what .. " value", "contains invalid utf8")
	end
end

--- An element. Raises on names and values that XML cannot hold.
-- @param attr table of strings, or nil
function stanza.stanza(name, attr, namespaces)
	check_name(name, "tag")
	if attr ~= nil then
		if type(attr) ~= "table" then
			fail("attributes", "expected table, got " .. type(attr))
		end
		for key, value in pairs(attr) do
			check_name(key, "attribute")
			check_text(value, "attribute")
		end
	end
	return setmetatable({ name = name, attr = attr or {}, namespaces = namespaces, tags = {} }, mt)
end

-- Building --

local function top(self)
	return self.last_add and self.last_add[#self.last_add] or self
end

--- Adds a child to this element itself.
function mt:add_direct_child(child)
	if is_stanza(child) then
		table.insert(self.tags, child)
	else
		check_text(child, "text")
	end
	table.insert(self, child)
end

--- Adds a child to the element that is open.
function mt:add_child(child)
	top(self):add_direct_child(child)
	return self
end

--- Adds an element and opens it; up() closes it.
function mt:tag(name, attr, namespaces)
	local new <const> = stanza.stanza(name, attr, namespaces)
	local parent <const> = top(self)
	self.last_add = self.last_add or {}
	parent:add_direct_child(new)
	table.insert(self.last_add, new)
	return self
end

function mt:text(text)
	if text ~= nil and text ~= "" then
		top(self):add_direct_child(text)
	end
	return self
end

function mt:text_tag(name, text, attr, namespaces)
	return self:tag(name, attr, namespaces):text(text):up()
end

function mt:query(xmlns)
	return self:tag("query", { xmlns = xmlns })
end

function mt:body(text, attr)
	return self:text_tag("body", text, attr)
end

function mt:up()
	if self.last_add then
		table.remove(self.last_add)
	end
	return self
end

function mt:at_top()
	return self.last_add == nil or #self.last_add == 0
end

function mt:reset()
	self.last_add = nil
	return self
end

for name, method in pairs(queries) do
	mt[name] = method
end

-- Copies --

local function copy(self, only_top)
	local new <const> = setmetatable({ name = self.name, attr = {}, tags = {} }, mt)
	for key, value in pairs(self.attr) do
		new.attr[key] = value
	end
	if self.namespaces then
		new.namespaces = {}
		for key, value in pairs(self.namespaces) do
			new.namespaces[key] = value
		end
	end
	if only_top then
		return new
	end
	for i, child in ipairs(self) do
		if type(child) == "table" then
			child = copy(child)
			table.insert(new.tags, child)
		end
		new[i] = child
	end
	return new
end

--- @param only_top true: without the children
function stanza.clone(self, only_top)
	if not is_stanza(self) then
		error("clone: expected stanza, got " .. type(self), 2)
	end
	return copy(self, only_top)
end

--- Plain tables, for serialization.
function stanza.preserialize(self)
	local plain <const> = { name = self.name, attr = self.attr }
	for i, child in ipairs(self) do
		plain[i] = type(child) == "table" and stanza.preserialize(child) or child
	end
	return plain
end
mt.__freeze = stanza.preserialize

--- The stanza of such tables; "ns|name" is the old form of attributes with a namespace.
function stanza.deserialize(plain)
	if not plain then
		return nil
	end
	local attr <const> = {}
	for key, value in pairs(plain.attr or {}) do
		if type(key) == "string" then
			if not key:find("\1", 1, true) then
				key = key:gsub("^([^|]+)|(.+)$", "%1\1%2")
			end
			attr[key] = value
		end
	end
	local new <const> = stanza.stanza(plain.name, attr)
	for _, child in ipairs(plain) do
		new:add_direct_child(type(child) == "table" and stanza.deserialize(child) or child)
	end
	return new
end

-- Writing --

local escapes <const> = { ["'"] = "&apos;", ['"'] = "&quot;", ["<"] = "&lt;", [">"] = "&gt;",
	["&"] = "&amp;" }

--- Text as it may stand in XML and HTML, attributes too.
function stanza.xml_escape(text)
	return (text:gsub("['\"<>&]", escapes))
end

local escape <const> = stanza.xml_escape

local function write_head(self, out, parent_ns)
	local count = 0
	out[#out + 1] = "<" .. self.name
	for key, value in pairs(self.attr) do
		local ns, name = key:match "^([^\1]*)\1(.*)$"
		if ns then
			count = count + 1
			out[#out + 1] = (" xmlns:ns%d='%s' ns%d:%s='%s'"):format(count, escape(ns), count, name,
				escape(value))
		elseif key ~= "xmlns" or value ~= parent_ns then
			out[#out + 1] = (" %s='%s'"):format(key, escape(value))
		end
	end
end

local function write(self, out, parent_ns)
	write_head(self, out, parent_ns)
	if #self == 0 then
		out[#out + 1] = "/>"
		return
	end
	out[#out + 1] = ">"
	for _, child in ipairs(self) do
		if type(child) == "table" then
			write(child, out, self.attr.xmlns)
		else
			out[#out + 1] = escape(child)
		end
	end
	out[#out + 1] = "</" .. self.name .. ">"
end

function mt:__tostring()
	local out <const> = {}
	write(self, out)
	return table.concat(out)
end

--- The start tag alone.
function mt:top_tag()
	local out <const> = {}
	write_head(self, out)
	return table.concat(out) .. ">"
end

function mt:pretty_print() return tostring(self) end
function mt:pretty_top_tag() return self:top_tag() end

--- A copy with line ends and `indent` (a tab) before each child element.
-- @param level how deep this element stands (1)
function mt:indent(level, indent)
	level, indent = level or 1, indent or "\t"
	local new <const> = copy(self, true)
	if #self.tags == 0 then
		new:text(self:get_text())
		return new
	end
	for _, child in ipairs(self) do
		if type(child) == "table" then
			new:add_direct_child("\n" .. indent:rep(level))
			new:add_direct_child(child:indent(level + 1, indent))
		elseif child:find "%S" then
			new:add_direct_child("\n" .. indent:rep(level))
			new:add_direct_child(child:match "^%s*(.-)%s*$")
		end
	end
	new:add_direct_child("\n" .. indent:rep(level - 1))
	return new
end

require "util.stanza_kinds"(stanza)

return stanza
