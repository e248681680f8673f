-- plain lua too
--- What HTTP's texts need in small: escapes, forms, lists of tokens, paths, Forwarded.

local char <const>, concat <const> = string.char, table.concat

local http <const> = {}

local function escape(c)
	return ("%%%02x"):format(c:byte())
end

--- @return the text with everything but unreserved characters (RFC 3986 2.3) as %xx; nil for nil
function http.urlencode(text)
	return text and (text:gsub("[^%w.~_-]", escape))
end

--- @return the text with %xx decoded; nil for nil
function http.urldecode(text)
	return text and (text:gsub("%%(%x%x)", function (hex)
		return char(tonumber(hex, 16))
	end))
end

local function encode_part(text)
	return text and (http.urlencode(tostring(text)):gsub("%%20", "+"))
end

local function decode_part(text)
	return http.urldecode((text:gsub("%+", " ")))
end

--- application/x-www-form-urlencoded.
-- @param form name → value, or a list of { name, value } whose order stays
function http.formencode(form)
	local parts <const> = {}
	if form[1] then
		for i, field in ipairs(form) do
			parts[i] = encode_part(field.name) .. "=" .. encode_part(field.value)
		end
	else
		for name, value in pairs(form) do
			parts[#parts + 1] = encode_part(name) .. "=" .. encode_part(value)
		end
	end
	return concat(parts, "&")
end

--- The reverse.
-- @return table: a list of { name, value }, and name → value (the last one); a text without "=" is
-- only decoded
function http.formdecode(text)
	if not text:find("=", 1, true) then
		return http.urldecode(text)
	end
	local form <const> = {}
	for name, value in text:gmatch("([^=&]*)=([^&]*)") do
		name, value = decode_part(name), decode_part(value)
		form[#form + 1] = { name = name, value = value }
		form[name] = value
	end
	return form
end

--- The parameters of a query as a table; a name without "=" stands for "".
-- @param text what follows the "?", or nil
function http.query(text)
	local query <const> = {}
	for pair in (text or ""):gmatch("[^&]+") do
		local name, value = pair:match("^([^=]*)=?(.*)$")
		query[decode_part(name)] = decode_part(value)
	end
	return query
end

--- Whether a list of tokens (Connection: close, foo) has this one; case does not count.
function http.contains_token(field, token)
	field = "," .. field:gsub("[ \t]", ""):lower() .. ","
	return field:find("," .. token:lower() .. ",", 1, true) ~= nil
end

--- Whether an Accept field names a media type outright (not by a wildcard).
-- @param field of the request, or nil
function http.accepts(field, media_type)
	for part in (field or ""):lower():gmatch("[^,]+") do
		local name <const>, rest <const> = part:match("^%s*([^;%s]*)%s*(.*)$")
		if name == media_type and not rest:match("q=0%.?0*%s*$") then
			return true
		end
	end
	return false
end

--- A path with a slash in front, and one (is_dir) or none at its end.
function http.normalize_path(path, is_dir)
	local ends = path:sub(-1) == "/"
	if is_dir and not ends then
		path = path .. "/"
	elseif not is_dir and ends then
		path = path:sub(1, -2)
	end
	return path:sub(1, 1) == "/" and path or "/" .. path
end

-- One pair of a Forwarded element, at a position: name, value, the position behind it.
local function take_pair(text, at)
	local name, from = text:match("^%s*([^%s=;,\"]+)=()", at)
	if not name then
		return nil
	end
	if text:sub(from, from) ~= '"' then
		local value, behind = text:match("^([^%s;,\"]*)()", from)
		return name:lower(), value, behind
	end
	local value = {}
	at = from + 1
	while at <= #text do
		local c = text:sub(at, at)
		if c == '"' then
			return name:lower(), concat(value), at + 1
		elseif c == "\\" then
			at = at + 1
			c = text:sub(at, at)
		end
		value[#value + 1] = c
		at = at + 1
	end
	return nil
end

--- The header Forwarded (RFC 7239): one table of its pairs for each proxy on the way.
-- @return list of { ["for"], by, host, proto }; nil if it is malformed
function http.parse_forwarded(text)
	if type(text) ~= "string" then
		return nil
	end
	local list, element, at = {}, {}, 1
	while true do
		local name, value, behind = take_pair(text, at)
		if not name then
			return nil
		end
		element[name] = value
		local mark
		mark, at = text:match("^%s*([;,]?)()", behind)
		if mark == "" then
			if at <= #text then
				return nil
			end
			list[#list + 1] = element
			return list
		elseif mark == "," then
			list[#list + 1] = element
			element = {}
		end
	end
end

return http
