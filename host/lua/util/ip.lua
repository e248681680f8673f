--- IP addresses as objects: fields addr (as written), packed, proto ("IPv4", "IPv6"), zone, and,
-- computed when asked for, normal, bits, bits_full, toV4mapped, scope, label, precedence, private.

local net <const> = require "util.net"
local strbitop <const> = require "util.strbitop"

local ip <const> = {}

local computed <const> = {}
local mt <const> = {}

function mt:__index(key)
	local compute = computed[key]
	if not compute then
		return nil
	end
	local value = compute(self)
	rawset(self, key, value)
	return value
end

function mt:__tostring()
	return self.addr
end

function mt.__eq(a, b)
	return getmetatable(a) == mt and getmetatable(b) == mt and a.packed == b.packed
end

local sizes <const> = { IPv4 = 4, IPv6 = 16 }

--- @param text address, with %zone if you like
-- @param proto optional: "IPv4" or "IPv6", if it must be one
-- @return object; or nil, error
function ip.new_ip(text, proto)
	if proto and not sizes[proto] then
		return nil, "invalid protocol"
	end
	local zone
	if proto ~= "IPv4" and text:find("%", 1, true) then
		text, zone = text:match "^(.-)%%(.*)"
	end
	local packed, err = net.pton(text)
	if not packed then
		return nil, err
	elseif proto and #packed ~= sizes[proto] then
		return nil, "invalid-" .. proto:lower()
	end
	return setmetatable({ addr = text, packed = packed, zone = zone,
		proto = #packed == 4 and "IPv4" or "IPv6" }, mt)
end

function computed:normal()
	return net.ntop(self.packed)
end

function computed:bits()
	return (self.packed:gsub(".", function (c)
		local byte, bits = c:byte(), {}
		for i = 1, 8 do
			bits[i] = (byte >> (8 - i)) & 1
		end
		return table.concat(bits)
	end))
end

function computed:toV4mapped()
	return self.proto == "IPv4" and ip.new_ip("::ffff:" .. self.normal) or nil
end

local function as_v6(self)
	return self.proto == "IPv4" and self.toV4mapped or self
end

function computed:bits_full()
	return as_v6(self).bits
end

--- How many bits two addresses begin with in common, IPv4 as ::ffff:0:0/96.
function ip.commonPrefixLength(a, b)
	return strbitop.common_prefix_bits(as_v6(a).packed, as_v6(b).packed)
end

--- Whether `a` is in the network `b`/`bits` (all bits if nil).
function ip.match(a, b, bits)
	if not bits or bits >= #b.packed * 8 then
		return a == b
	elseif bits < 1 then
		return true
	end
	if a.proto ~= b.proto then
		bits = b.proto == "IPv4" and bits + 96 or bits
		a, b = as_v6(a), as_v6(b)
	end
	return strbitop.common_prefix_bits(a.packed, b.packed) >= bits
end

--- "address/bits" -> object (or nil) and bits (or nil).
function ip.parse_cidr(text)
	local address, bits = text:match "^([^/]*)/(.*)$"
	if not address then
		return (ip.new_ip(text)), nil
	end
	return (ip.new_ip(address)), tonumber(bits)
end

--- The address with all but its first `bits` bits zero.
-- @param self object, or text
function ip.truncate(self, bits)
	if type(self) == "string" then
		local err
		self, err = ip.new_ip(self)
		if not self then
			return nil, err
		end
	end
	local mask <const> = {}
	for i = 1, #self.packed do
		local n = math.max(0, math.min(8, bits - (i - 1) * 8))
		mask[i] = string.char((0xff << (8 - n)) & 0xff)
	end
	return ip.new_ip(net.ntop(strbitop.sand(self.packed, table.concat(mask))))
end

--- The other way round: an object from 4 or 16 bytes.
function ip.from_packed(packed)
	local text, err = net.ntop(packed)
	if not text then
		return nil, err
	end
	return ip.new_ip(text)
end

--- Whether a value is such an object.
function ip.is_ip(value)
	return getmetatable(value) == mt
end

-- RFC 6724 --

local function networks(list)
	for _, row in ipairs(list) do
		row.net, row.bits = ip.parse_cidr(row[1])
	end
	return list
end

local function first(list, self, column)
	for _, row in ipairs(list) do
		if self.proto == row.net.proto and ip.match(self, row.net, row.bits) then
			return row[column]
		end
	end
end

-- Network, label, precedence (2.1); the longest prefix comes first.
local policies <const> = networks {
	{ "::1/128", 0, 50 }, { "2002::/16", 2, 30 }, { "2001::/32", 5, 5 }, { "fc00::/7", 13, 3 },
	{ "fec0::/10", 11, 1 }, { "3ffe::/16", 12, 1 }, { "::/96", 3, 1 }, { "::ffff:0:0/96", 4, 35 },
	{ "::/0", 1, 40 },
}

local scopes <const> = networks {
	{ "127.0.0.0/8", 0x2 }, { "169.254.0.0/16", 0x2 }, { "0.0.0.0/0", 0xe },
	{ "::1/128", 0x2 }, { "fe80::/10", 0x2 }, { "fec0::/10", 0x5 }, { "ff00::/8", false },
	{ "::/0", 0xe },
}

local private <const> = networks {
	{ "10.0.0.0/8", true }, { "172.16.0.0/12", true }, { "192.168.0.0/16", true },
	{ "100.64.0.0/10", true }, { "0.0.0.0/0", false }, { "fc00::/7", true }, { "::/0", false },
}

function computed:label()
	return first(policies, as_v6(self), 2)
end

function computed:precedence()
	return first(policies, as_v6(self), 3)
end

--- 2: this link or host, 5: this site, 14: the world; a multicast address says it itself.
function computed:scope()
	return first(scopes, self, 2) or self.packed:byte(2) & 0xf
end

--- Whether it is not the world's: RFC 1918, 6598, 4193, or a smaller scope.
function computed:private()
	return self.scope ~= 0xe or first(private, self, 2)
end

return ip
