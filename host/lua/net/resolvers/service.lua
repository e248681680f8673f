--- Targets of a service by its SRV records (RFC 2782): by priority, within one by weighted chance.

local adns <const> = require "net.adns"
local basic <const> = require "net.resolvers.basic"
local encodings <const> = require "util.encodings"
local net <const> = require "util.net"

local service <const> = {}

local methods <const> = {}
local mt <const> = { __index = methods }

-- RFC 2782: those of weight 0 first, then each by its share of what is left.
local function draw(group)
	local total = 0
	table.sort(group, function (a, b) return a.weight < b.weight end)
	for _, srv in ipairs(group) do
		total = total + srv.weight
	end
	local mark, sum = math.random(0, total), 0
	for i, srv in ipairs(group) do
		sum = sum + srv.weight
		if sum >= mark then
			return table.remove(group, i)
		end
	end
end

--- SRV data in the order to try it.
-- @param records list of { priority =, weight =, port =, target = }
function service.order(records)
	local groups, priorities, out <const> = {}, {}, {}
	for _, srv in ipairs(records) do
		if not groups[srv.priority] then
			groups[srv.priority] = {}
			table.insert(priorities, srv.priority)
		end
		table.insert(groups[srv.priority], srv)
	end
	table.sort(priorities)
	for _, priority in ipairs(priorities) do
		while #groups[priority] > 0 do
			out[#out + 1] = draw(groups[priority])
		end
	end
	return out
end

function methods:_take(answer, err)
	self.targets = {}
	if not answer and err then
		self.last_error = err
		return
	end
	answer = answer or {}
	local records <const> = {}
	for i, record in ipairs(answer) do
		records[i] = record.srv
	end
	if #records == 1 and records[1].target == "." then
		self.last_error = "service explicitly unavailable"
		return
	end
	for i, srv in ipairs(service.order(records)) do
		self.targets[i] = { srv.target, srv.port }
	end
	if #records > 0 then
		return
	elseif self.extra and self.extra.default_port then
		self.targets[1] = { self.hostname, self.extra.default_port }
	else
		self.last_error = "zero SRV records found"
	end
end

function methods:_next_of_target(callback)
	if not self.resolver then
		local target = table.remove(self.targets, 1)
		if not target then
			return callback(nil)
		end
		self.resolver = basic.new(target[1], target[2], self.conn_type, self.extra)
	end
	return self.resolver:next(function (conn_type, ...)
		self.last_error = self.resolver.last_error or self.last_error
		if conn_type then
			return callback(conn_type, ...)
		end
		self.resolver = nil
		return self:_next_of_target(callback)
	end)
end

--- See net.resolvers.manual; last_error says why there is no target.
function methods:next(callback)
	if self.targets then
		return self:_next_of_target(callback)
	elseif not self.hostname then
		self.last_error = "hostname failed IDNA"
		return callback(nil)
	end
	local query, err = adns.resolver():lookup(function (answer, why)
		self:_take(answer, why)
		self:next(callback)
	end, ("_%s._%s.%s"):format(self.service, self.conn_type, self.hostname), "SRV", "IN")
	if not query and err then
		self.last_error = err
		return callback(nil)
	end
end

--- @param name "xmpp-client", "redis", …: without the underscore
-- @param extra default_port: tried where there are no such records; the rest as in basic
function service.new(hostname, name, conn_type, extra)
	local is_ip = net.pton(hostname) or net.pton(hostname:match("^%[(.*)%]$") or "")
	if is_ip and extra and extra.default_port then
		return basic.new(hostname, extra.default_port, conn_type, extra)
	end
	return setmetatable({ hostname = encodings.idna.to_ascii(hostname), service = name,
		conn_type = conn_type or "tcp", extra = extra }, mt)
end

return service
