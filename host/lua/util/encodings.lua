-- API of Prosody's util.encodings. base64 and utf8 are complete. idna and stringprep are
-- conservative, because they need Unicode tables that we do not carry: ASCII is lower-cased and
-- checked as the profile says, anything else gives nil, so that no two spellings can ever be taken
-- for one name.

local match <const>, lower <const>, find <const> = string.match, string.lower, string.find
local utf8_len <const> = utf8.len

local ok <const>, host <const> = pcall(require, "host.encodings")

local base64
if ok then
	base64 = host.base64
else
	local function missing()
		error("base64 needs the host (gadwall lua)", 2)
	end
	base64 = { encode = missing, decode = missing }
end

--- @return how many code points (Prosody: bytes); or nil, "invalid utf8"
local function length(s)
	local points = utf8_len(s)
	if points then return points end
	return nil, "invalid utf8"
end

local function valid(s)
	return utf8_len(s) ~= nil
end

-- A profile: ASCII without `forbidden`, at most 1023 bytes (RFC 7622), else nil.
local function profile(forbidden, fold)
	return function (s)
		if #s > 1023 or find(s, "[\128-\255]") or find(s, forbidden) then return nil end
		return fold and lower(s) or s
	end
end

local function to_ascii(s)
	if s == "" or #s > 253 or find(s, "[^%w%.%-]") then return nil end
	s = lower(s)
	for label in (s .. "."):gmatch("([^.]*)%.") do
		if label == "" and not match(s, "%.$") or #label > 63 or find(label, "^%-")
			or find(label, "%-$") then
			return nil
		end
	end
	return s
end

local function to_unicode(s)
	s = to_ascii(s)
	-- a name in Punycode cannot be read without the tables
	if not s or find("." .. s, ".xn--", 1, true) then return nil end
	return s
end

return {
	base64 = base64,
	utf8 = { valid = valid, length = length },
	idna = { to_ascii = to_ascii, to_unicode = to_unicode },
	stringprep = {
		nameprep = profile("[%c]", true),
		nodeprep = profile("[%c \"&'/:<>@]", true),
		resourceprep = profile("[%c]", false),
		saslprep = profile("[%c]", false),
	},
}
