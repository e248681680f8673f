--- What stanzas can be asked: methods of util.stanza.

local query <const> = { xmlns_stanzas = "urn:ietf:params:xml:ns:xmpp-stanzas" }

local function fits(self, child, name, xmlns)
	local ns = child.attr.xmlns
	return (not name or child.name == name)
		and (ns == xmlns or not xmlns and ns == self.attr.xmlns)
end

--- The first child element of that name and namespace (default: this element's own).
function query:get_child(name, xmlns)
	for _, child in ipairs(self.tags) do
		if fits(self, child, name, xmlns) then
			return child
		end
	end
	return nil
end

function query:get_child_text(name, xmlns)
	local child = self:get_child(name, xmlns)
	return child and child:get_text()
end

function query:get_child_attr(name, xmlns, attr)
	local child = self:get_child(name, xmlns)
	return child and child.attr[attr]
end

function query:get_child_with_attr(name, xmlns, attr, value, normalize)
	for child in self:childtags(name, xmlns) do
		local has = child.attr[attr]
		if (normalize and normalize(has) or has) == value then
			return child
		end
	end
	return nil
end

function query:child_with_name(name)
	for _, child in ipairs(self.tags) do
		if child.name == name then
			return child
		end
	end
	return nil
end

function query:child_with_ns(xmlns)
	for _, child in ipairs(self.tags) do
		if child.attr.xmlns == xmlns then
			return child
		end
	end
	return nil
end

--- Iterates all children, text too.
function query:children()
	local i = 0
	return function ()
		i = i + 1
		return self[i]
	end
end

--- Iterates child elements of that name and namespace.
function query:childtags(name, xmlns)
	local i = 0
	return function ()
		while self.tags[i + 1] do
			i = i + 1
			if fits(self, self.tags[i], name, xmlns) then
				return self.tags[i]
			end
		end
	end
end

--- Replaces every child element by what callback(child) returns; nil removes it.
function query:maptags(callback)
	local children <const>, tags <const> = {}, {}
	local seen = 0
	for _, child in ipairs(self) do
		if type(child) == "table" then
			seen = seen + 1
			if self.tags[seen] ~= child then
				error("Invalid stanza state: children and tags differ", 2)
			end
			child = callback(child)
			tags[#tags + 1] = child
		end
		children[#children + 1] = child
	end
	for i = 1, math.max(#self, #children) do
		self[i] = children[i]
	end
	for i = 1, math.max(#self.tags, #tags) do
		self.tags[i] = tags[i]
	end
	return self
end

function query:remove_children(name, xmlns)
	return self:maptags(function (child)
		return not fits(self, child, name, xmlns) and child or nil
	end)
end

-- "name", "prefix:name" or "{namespace}name".
local function attribute(self, name)
	local ns, rest = name:match "^{([^}]*)}(.*)$"
	if not ns and self.namespaces then
		local prefix, local_name = name:match "^([^:]+):(.*)$"
		ns, rest = self.namespaces[prefix or ""], local_name
	end
	return self.attr[ns and rest and ns .. "\1" .. rest or name]
end

--- Follows "{namespace}name/name", ending in "@attribute", "#" (its text) or nothing (the element).
function query:find(path)
	local at = 1
	repeat
		if path:sub(at, at) == "@" then
			return attribute(self, path:sub(at + 1))
		end
		local xmlns, after = path:match("^{([^}]+)}()", at)
		local name, mark, rest = path:match("^([^@/#]*)([/#]?)()", after or at)
		name = name ~= "" and name or nil
		if rest == #path + 1 then
			if mark == "#" then
				return self:get_child_text(name, xmlns)
			end
			return self:get_child(name, xmlns)
		end
		self, at = self:get_child(name, xmlns), rest
	until not self
	return nil
end

--- The text of an element without child elements; nil otherwise.
function query:get_text()
	return #self.tags == 0 and table.concat(self) or nil
end

--- Type, condition, text and further element of an error stanza.
function query:get_error()
	local err = self:get_child "error"
	if not err then
		return nil, nil, nil, nil
	end
	local condition, text, further
	for _, child in ipairs(err.tags) do
		if child.attr.xmlns ~= query.xmlns_stanzas then
			further = further or child
		elseif child.name == "text" then
			text = text or child:get_text()
		else
			condition = condition or child.name
		end
	end
	return err.attr.type, condition or "undefined-condition", text, further
end

return query
