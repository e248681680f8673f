--- A name server on loopback (UDP, TCP on the same port on demand) that answers as a spec says.
-- It runs in the spec's own loop.

local server <const> = require "net.server"
local socket <const> = require "socket"

local dns_server <const> = {}

--- A name as it goes into a packet.
function dns_server.name(text)
	local wire = text:gsub("%.?$", "."):gsub("([^.]+)%.", function (label)
		return string.char(#label) .. label
	end)
	return text == "." and "\0" or wire .. "\0"
end

--- One record; owner is a wire name (default: a pointer to the question).
function dns_server.record(rtype, rdata, owner, ttl)
	return (owner or "\xc0\x0c") .. (">I2I2I4s2"):pack(rtype, 1, ttl or 60, rdata)
end

--- An answer to `query`. fields: rcode, truncated, count (default: that of records)
function dns_server.reply(query, records, fields)
	fields = fields or {}
	local flags = 0x8180 | (fields.rcode or 0) | (fields.truncated and 0x0200 or 0)
	return query.id .. (">I2I2I2I2I2"):pack(flags, 1, fields.count or #records, 0, 0)
		.. query.question .. table.concat(records)
end

local function parse(packet)
	local labels, at = {}, 13
	while packet:byte(at) and packet:byte(at) > 0 do
		labels[#labels + 1] = packet:sub(at + 1, at + packet:byte(at))
		at = at + packet:byte(at) + 1
	end
	return { id = packet:sub(1, 2), name = table.concat(labels, "."):lower(),
		type = (">I2"):unpack(packet, at + 1), question = packet:sub(13, at + 4) }
end

local methods <const> = {}

function methods:close()
	self.watch:close()
	self.socket:close()
	if self.listening then
		self.listening:close_now()
	end
end

-- A UDP socket and, if wanted, a listener whose number is free too.
local function bind(tcp)
	for _ = 1, 50 do
		local udp = assert(socket.udp())
		assert(udp:setsockname("127.0.0.1", 0))
		udp:settimeout(0)
		local _, port = udp:getsockname()
		local listeners <const> = {}
		local listening = tcp
			and server.listen("127.0.0.1", tonumber(port), listeners, { read_size = 65536 })
		if listening or not tcp then
			return udp, port, listening, listeners
		end
		udp:close()
	end
	error "no port that is free for both"
end

--- Starts it.
-- @param answer fn(query { id, name, type, question }, "udp" | "tcp") -> packet, or nil for none
-- @param tcp true: answers over TCP too
-- @return object with address ("127.0.0.1:port"), asked (list of "name type"), close()
function dns_server.start(answer, tcp)
	local udp, port, listening, listeners = bind(tcp)
	local self <const> = setmetatable({ socket = udp, port = tonumber(port), asked = {},
		address = "127.0.0.1:" .. port }, { __index = methods })
	local function reply(query, over)
		self.asked[#self.asked + 1] = ("%s %d %s"):format(query.name, query.type, over)
		return answer(query, over)
	end
	self.watch = assert(server.watchfd(udp, function ()
		local packet, ip, from = udp:receivefrom()
		while packet do
			local text = reply(parse(packet), "udp")
			if text then
				udp:sendto(text, ip, from)
			end
			packet, ip, from = udp:receivefrom()
		end
	end))
	self.listening = listening
	function listeners.onincoming(conn, data)
		local text = reply(parse(data:sub(3)), "tcp")
		if text then
			conn:write((">s2"):pack(text))
		end
	end
	return self
end

return dns_server
