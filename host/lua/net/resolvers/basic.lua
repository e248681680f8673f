--- Targets of a host name: its addresses, families in turn (RFC 8305 4, happy eyeballs), the first
-- being the one that RFC 6724 prefers.

local adns <const> = require "net.adns"
local encodings <const> = require "util.encodings"
local net <const> = require "util.net"

local basic <const> = {}

local methods <const> = {}
local mt <const> = { __index = methods }

-- v6, v4, v6, v4 …, when the first is v6; each family keeps its order.
local function interleave(list)
	local families <const> = { [4] = {}, [6] = {} }
	for _, item in ipairs(list) do
		table.insert(families[item.family], item)
	end
	local first = list[1] and list[1].family or 6
	local turn <const> = { families[first], families[10 - first] }
	local out <const> = {}
	for i = 1, math.max(#turn[1], #turn[2]) do
		out[#out + 1] = turn[1][i]
		out[#out + 1] = turn[2][i]
	end
	return out
end

local function is_wanted(extra, family)
	if family == 4 then
		return not extra or extra.use_ipv4 ~= false
	end
	return not extra or extra.use_ipv6 ~= false
end

function methods:_take(list, err)
	self.targets = {}
	if not list then
		self.last_error = err
		return
	end
	for _, item in ipairs(interleave(list)) do
		if is_wanted(self.extra, item.family) then
			table.insert(self.targets,
				{ self.conn_type .. item.family, item.address, self.port, self.extra })
		end
	end
	if #self.targets == 0 then
		self.last_error = list.rcode == 3 and "NXDOMAIN in A lookup" or "no addresses"
	end
end

-- Two questions, for a resolver that knows no order of both families.
local function ask_both(resolver, done, name)
	local found <const> = {}
	local left, last_error = 2, nil
	local function part(field, family)
		return function (answer, err)
			last_error = err or last_error
			for _, record in ipairs(answer or {}) do
				table.insert(found, { address = record[field], family = family })
			end
			left = left - 1
			if left == 0 then
				done(#found > 0 and found or nil, last_error or "no addresses")
			end
		end
	end
	resolver:lookup(part("aaaa", 6), name, "AAAA", "IN")
	resolver:lookup(part("a", 4), name, "A", "IN")
end

function methods:_ask(resolver, done)
	if not resolver.addresses then
		return ask_both(resolver, done, self.hostname)
	end
	local query, err = resolver:addresses(done, self.hostname)
	if not query then
		return done(nil, err)
	end
end

--- See net.resolvers.manual; last_error says why there is no target.
function methods:next(callback)
	if self.targets then
		local target = table.remove(self.targets, 1)
		if target then
			return callback(table.unpack(target, 1, 4))
		end
		return callback(nil)
	elseif not self.hostname then
		self.last_error = "hostname failed IDNA"
		return callback(nil)
	end
	return self:_ask(adns.resolver(), function (list, why)
		self:_take(list, why)
		self:next(callback)
	end)
end

--- @param hostname name, address, or [address]
-- @param conn_type "tcp" (default)
-- @param extra passed on to net.server; use_ipv4, use_ipv6 = false leave a family out
function basic.new(hostname, port, conn_type, extra)
	conn_type = conn_type or "tcp"
	local resolver <const> = setmetatable({ port = port, conn_type = conn_type, extra = extra }, mt)
	local binary = net.pton(hostname) or net.pton(hostname:match("^%[(.*)%]$") or "")
	if binary then
		local address = net.ntop(binary)
		resolver.hostname = address
		resolver.targets = { { conn_type .. (#binary == 4 and "4" or "6"), address, port, extra } }
	else
		resolver.hostname = encodings.idna.to_ascii(hostname)
	end
	return resolver
end

return basic
