-- Addresses user@host/resource; API of Prosody's util.jid.

local stringprep <const> = require "util.encodings".stringprep
local gsub <const>, match <const> = string.gsub, string.match
local select <const> = select

--- @return node, host, resource (nil where missing); nothing but nil if it is no address
local function split(jid)
	if jid == nil then return nil, nil, nil end
	local node, behind_node = match(jid, "^([^@/]+)@()")
	local host, behind_host = match(jid, "^([^@/]+)()", behind_node)
	if not host then return nil, nil, nil end
	local resource = match(jid, "^/(.+)$", behind_host)
	if not resource and behind_host <= #jid then return nil, nil, nil end
	return node, host, resource
end

local function join(node, host, resource)
	if host == nil then return nil end
	if node ~= nil then host = node .. "@" .. host end
	if resource ~= nil then host = host .. "/" .. resource end
	return host
end

local function bare(jid)
	local node, host = split(jid)
	return join(node, host)
end

--- split, each part in its canonical form; nil if a part is not allowed
local function prepped_split(jid)
	local node, host, resource = split(jid)
	if not host or host == "." then return nil end
	host = stringprep.nameprep((gsub(host, "%.$", "")))
	if not host then return nil end
	if node then
		node = stringprep.nodeprep(node)
		if not node then return nil end
	end
	if resource then
		resource = stringprep.resourceprep(resource)
		if not resource then return nil end
	end
	return node, host, resource
end

local function prep(jid)
	return join(prepped_split(jid))
end

--- Whether an address matches a rule: the parts that the rule has must be the same.
local function compare(jid, rule)
	local node, host, resource = split(jid)
	local rule_node, rule_host, rule_resource = split(rule)
	return (rule_node == nil or rule_node == node) and (rule_host == nil or rule_host == host)
		and (rule_resource == nil or rule_resource == resource)
end

local escapes <const> = {
	[" "] = "\\20", ['"'] = "\\22", ["&"] = "\\26", ["'"] = "\\27", ["/"] = "\\2f",
	[":"] = "\\3a", ["<"] = "\\3c", [">"] = "\\3e", ["@"] = "\\40", ["\\"] = "\\5c",
}
local unescapes <const> = {
	["\\20"] = " ", ["\\22"] = '"', ["\\26"] = "&", ["\\27"] = "'", ["\\2f"] = "/",
	["\\3a"] = ":", ["\\3c"] = "<", ["\\3e"] = ">", ["\\40"] = "@", ["\\5c"] = "\\",
}

--- Escapes a local part as XEP-0106 says; a backslash only where it would read as an escape.
local function escape(s)
	if not s then return s end
	s = gsub(s, "\\(%x%x)", function (digits)
		if unescapes["\\" .. digits] then return "\\5c" .. digits end
	end)
	return (gsub(s, "[ \"&'/:<>@]", escapes))
end

local function unescape(s)
	return s and (gsub(s, "\\%x%x", unescapes))
end

return {
	split = split, join = join, bare = bare, prepped_split = prepped_split, prep = prep,
	compare = compare, escape = escape, unescape = unescape,
	node = function (jid) return (select(1, split(jid))) end,
	host = function (jid) return (select(2, split(jid))) end,
	resource = function (jid) return (select(3, split(jid))) end,
}
