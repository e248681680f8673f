--- XML as far as a host without XMPP needs it: writing; and reading, where lua-expat is installed.

local stanza <const> = require "util.stanza"

local has_expat <const>, lxp <const> = pcall(require, "lxp")

-- lua-expat writes "namespace\1name"; attributes of the xml namespace are known by their prefix.
local separator <const> = "\1"
local xml_ns <const> = "http://www.w3.org/XML/1998/namespace" .. separator

local function attributes_of(given)
	local attr <const> = {}
	for _, name in ipairs(given) do
		local short <const> = name:sub(1, #xml_ns) == xml_ns and "xml:" .. name:sub(#xml_ns + 1)
		attr[short or name] = given[name]
	end
	return attr
end

-- Handlers that build a stanza, and a function that gives it once all is read.
local function builder()
	local root, at
	local scopes <const> = {} -- prefixes in force in each open element
	local declared
	local handlers <const> = {}

	function handlers.StartNamespaceDecl(_, prefix, uri)
		if not declared then
			declared = {}
			for known, its in pairs(scopes[#scopes] or {}) do
				declared[known] = its
			end
		end
		declared[prefix or ""] = uri
	end

	function handlers.StartElement(_, name, given)
		local attr <const> = attributes_of(given)
		local ns, plain = name:match("^([^\1]*)\1(.*)$")
		attr.xmlns = ns
		scopes[#scopes + 1] = declared or scopes[#scopes] or {}
		declared = nil
		if not root then
			root = stanza.stanza(plain or name, attr, scopes[1])
			at = root
		else
			at:tag(plain or name, attr, scopes[#scopes])
		end
	end

	function handlers.EndElement()
		scopes[#scopes] = nil
		if scopes[1] then
			at:up()
		end
	end

	function handlers.CharacterData(_, text)
		at:text(text)
	end

	return handlers, function () return root end
end

local function refuse(parser, what)
	return function ()
		parser.why = what .. " not allowed"
		parser.expat:stop()
	end
end

local function parse(text, options)
	local parser <const> = {}
	local handlers <const>, root <const> = builder()
	handlers.StartDoctypeDecl = refuse(parser, "doctype")
	if not (options and options.allow_comments) then
		handlers.Comment = refuse(parser, "comment")
	end
	if not (options and options.allow_processing_instructions) then
		handlers.ProcessingInstruction = refuse(parser, "processing instruction")
	end
	parser.expat = lxp.new(handlers, separator)
	local ok, err = parser.expat:parse(text)
	if ok then
		ok, err = parser.expat:parse()
	end
	pcall(parser.expat.close, parser.expat)
	if not ok or parser.why then
		return nil, parser.why or err
	end
	return root():reset()
end

return {
	--- & < > ' " as entities.
	escape = stanza.xml_escape,
	--- @param text a whole document
	-- @param options optional: allow_comments, allow_processing_instructions
	-- @return a stanza; nil and words if it is none, or if lua-expat is not installed
	parse = has_expat and parse or function ()
		return nil, "no XML reader here: lua-expat is not installed"
	end,
}
