--- Numbers and names of DNS, and parsers of record data (RFC 1035, 2782, 6698, 9460). Text from
-- the net is escaped as in zone files (RFC 1035 5.1), so that no log line or comparison is fooled.

local hex <const> = require "util.hex".encode

local dns <const> = {}

local function both_ways(map)
	local names <const> = {}
	for name, number in pairs(map) do
		names[number] = name
	end
	for number, name in pairs(names) do
		map[number] = name
	end
	return map
end

dns.classes = both_ways { IN = 1, CH = 3, HS = 4, NONE = 254, ANY = 255 }

dns.types = both_ways {
	A = 1, NS = 2, CNAME = 5, SOA = 6, PTR = 12, HINFO = 13, MX = 15, TXT = 16, RP = 17, AFSDB = 18,
	AAAA = 28, LOC = 29, SRV = 33, NAPTR = 35, KX = 36, CERT = 37, DNAME = 39, DS = 43, SSHFP = 44,
	RRSIG = 46, NSEC = 47, DNSKEY = 48, NSEC3 = 50, NSEC3PARAM = 51, TLSA = 52, SMIMEA = 53,
	CDS = 59, CDNSKEY = 60, OPENPGPKEY = 61, SVCB = 64, HTTPS = 65, SPF = 99, EUI48 = 108,
	EUI64 = 109, ANY = 255, URI = 256, CAA = 257,
}

--- Response codes by number and by name.
dns.errors = both_ways {
	NOERROR = 0, FORMERR = 1, SERVFAIL = 2, NXDOMAIN = 3, NOTIMP = 4, REFUSED = 5, YXDOMAIN = 6,
	YXRRSET = 7, NXRRSET = 8, NOTAUTH = 9, NOTZONE = 10,
}

local function escape_byte(c)
	if c == "." or c == "\\" or c == '"' or c == ";" or c == "@" or c == "$" or c == "("
		or c == ")" then
		return "\\" .. c
	end
	return ("\\%03d"):format(c:byte())
end

--- A name as it stands in a packet, without pointers.
-- @param data string, @param pos where it begins (1)
-- @return the name in words without a dot at the end ("." is the root) and the position after it;
-- nil if it is none
function dns.read_name(data, pos)
	pos = pos or 1
	local labels <const> = {}
	while true do
		local n = data:byte(pos)
		if not n or n > 63 or pos + n > #data then
			return nil
		elseif n == 0 then
			return #labels > 0 and table.concat(labels, ".") or ".", pos + 1
		end
		labels[#labels + 1] = data:sub(pos + 1, pos + n):gsub("[^%w%-_*/+=:]", escape_byte)
		pos = pos + n + 1
	end
end

local function words(fields, format)
	return { __tostring = function (record)
		local values <const> = {}
		for i, field in ipairs(fields) do
			values[i] = record[field]
		end
		return format:format(table.unpack(values, 1, #fields))
	end }
end

local parsers <const> = {}
dns.parsers = parsers

local function only_name(data)
	local name, rest = dns.read_name(data)
	return rest == #data + 1 and name or nil
end
parsers.CNAME, parsers.NS, parsers.PTR, parsers.DNAME = only_name, only_name, only_name, only_name

function parsers.A(data)
	return #data == 4 and ("%d.%d.%d.%d"):format(data:byte(1, 4)) or nil
end

function parsers.AAAA(data)
	return #data == 16 and require "util.net".ntop(data) or nil
end

local soa_fields <const> = { "mname", "rname", "serial", "refresh", "retry", "expire", "minimum" }
local soa_mt <const> = words(soa_fields, "%s %s %d %d %d %d %d")

function parsers.SOA(data)
	local mname, at = dns.read_name(data)
	local rname
	if mname then
		rname, at = dns.read_name(data, at)
	end
	if not rname or #data - at ~= 19 then
		return nil
	end
	local record <const> = { mname = mname, rname = rname }
	for i = 3, 7 do
		record[soa_fields[i]], at = (">I4"):unpack(data, at)
	end
	return setmetatable(record, soa_mt)
end

local mx_mt <const> = words({ "pref", "mx" }, "%d %s")

function parsers.MX(data)
	local name = only_name(data:sub(3))
	return name and setmetatable({ pref = (">I2"):unpack(data), mx = name }, mx_mt)
end

local srv_mt <const> = words({ "priority", "weight", "port", "target" }, "%d %d %d %s")

function parsers.SRV(data)
	local target = only_name(data:sub(7))
	if not target then
		return nil
	end
	local priority, weight, port = (">I2I2I2"):unpack(data)
	return setmetatable({ priority = priority, weight = weight, port = port, target = target },
		srv_mt)
end

local txt_mt <const> = { __tostring = table.concat }

function parsers.TXT(data)
	local texts <const> = {}
	local at = 1
	while at <= #data do
		local n = data:byte(at)
		if at + n > #data then
			return nil
		end
		texts[#texts + 1] = data:sub(at + 1, at + n)
		at = at + n + 1
	end
	return #texts > 0 and setmetatable(texts, txt_mt) or nil
end
parsers.SPF = parsers.TXT

local tlsa_words <const> = { -- RFC 7218
	use = { [0] = "PKIX-TA", "PKIX-EE", "DANE-TA", "DANE-EE", [255] = "PrivCert" },
	select = { [0] = "Cert", "SPKI", [255] = "PrivSel" },
	match = { [0] = "Full", "SHA2-256", "SHA2-512", [255] = "PrivMatch" },
}
dns.params = { TLSA = tlsa_words }

local tlsa_mt <const> = {
	__tostring = function (r)
		return ("%s %s %s %s"):format(tlsa_words.use[r.use] or r.use,
			tlsa_words.select[r.select] or r.select, tlsa_words.match[r.match] or r.match,
			hex(r.data))
	end,
	__index = {
		getUsage = function (r) return tlsa_words.use[r.use] end,
		getSelector = function (r) return tlsa_words.select[r.select] end,
		getMatchType = function (r) return tlsa_words.match[r.match] end,
	},
}

function parsers.TLSA(data)
	if #data < 4 then
		return nil
	end
	local use, select_, match = data:byte(1, 3)
	return setmetatable({ use = use, select = select_, match = match, data = data:sub(4) }, tlsa_mt)
end

local caa_mt <const> = words({ "flags", "tag", "value" }, "%d %s %q")

function parsers.CAA(data)
	local n = data:byte(2)
	if not n or n == 0 or 2 + n > #data then
		return nil
	end
	return setmetatable({ flags = data:byte(1), tag = data:sub(3, 2 + n),
		value = data:sub(3 + n) }, caa_mt)
end

local list_mt <const> = { __tostring = function (list) return table.concat(list, ", ") end }

local function addresses(value, size, parse)
	local list <const> = setmetatable({}, list_mt)
	for i = 1, #value - #value % size, size do
		list[#list + 1] = parse(value:sub(i, i + size - 1))
	end
	return list
end

local svcb_values <const> = {
	[1] = function (value) return setmetatable(parsers.TXT(value) or {}, list_mt) end,
	[3] = function (value) return #value == 2 and (">I2"):unpack(value) or value end,
	[4] = function (value) return addresses(value, 4, parsers.A) end,
	[6] = function (value) return addresses(value, 16, parsers.AAAA) end,
}
local svcb_keys <const> = { [0] = "mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech",
	"ipv6hint" }

local svcb_mt <const> = { __tostring = function (r)
	local parts <const> = { r.prio, r.name }
	for _, field in ipairs(r.fields) do
		parts[#parts + 1] = ("%s=%q"):format(svcb_keys[field.key] or "key" .. field.key,
			tostring(field.value))
	end
	return table.concat(parts, " ")
end }

function parsers.SVCB(data)
	local name, at = dns.read_name(data, 3)
	if not name then
		return nil
	end
	local fields <const> = {}
	while at <= #data do
		if #data - at < 3 then
			return nil
		end
		local key, n = (">I2I2"):unpack(data, at)
		local value = data:sub(at + 4, at + 3 + n)
		if #value ~= n then
			return nil
		end
		fields[#fields + 1] = { key = key, len = n,
			value = svcb_values[key] and svcb_values[key](value) or value }
		at = at + 4 + n
	end
	return setmetatable({ prio = (">I2"):unpack(data), name = name, fields = fields }, svcb_mt)
end
parsers.HTTPS = parsers.SVCB

local raw_mt <const> = { __tostring = function (r)
	return ("\\# %d %s"):format(#r.raw, hex(r.raw))
end }

-- Types without a parser of their own: RFC 3597's form.
setmetatable(parsers, { __index = function ()
	return function (data)
		return setmetatable({ raw = data }, raw_mt)
	end
end })

return dns
