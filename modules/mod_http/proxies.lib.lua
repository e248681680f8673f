--- Who a client behind trusted proxies is: X-Forwarded-For is read from its end, as far as the
-- addresses are those of proxies we trust.

local ok, ip <const> = pcall(require, "util.ip")

local proxies <const> = {}

local function blocks_of(trusted)
	local blocks <const> = {}
	for item in trusted do
		if ok and item:find("/", 1, true) then
			local address, bits = ip.parse_cidr(item)
			if address then
				blocks[#blocks + 1] = { address, bits }
			end
		end
	end
	return blocks
end

-- Some proxies name the port too: 192.0.2.1:4711, [2001:db8::1]:4711.
local function without_port(text)
	return text:match("^%[(.+)%]:?%d*$") or text:match("^([%d.]+):%d+$") or text
end

--- @param trusted set of addresses and CIDR blocks
-- @return fn(request, ip) → ip of the client, whether it came by TLS
function proxies.new(trusted)
	local blocks <const> = blocks_of(trusted)
	local function is_trusted(text)
		if trusted:contains(text) then
			return true
		end
		local address = #blocks > 0 and ip.new_ip(text)
		for _, block in ipairs(address and blocks or {}) do
			if ip.match(address, block[1], block[2]) then
				return true
			end
		end
		return false
	end
	-- Who stands behind the proxies that we trust, or nil.
	local function client_of(text)
		local named <const> = {}
		for address in text:gmatch("[^%s,]+") do
			named[#named + 1] = address
		end
		for i = #named, 1, -1 do
			local address <const> = without_port(named[i])
			if not is_trusted(address) then
				return address
			end
		end
	end
	return function (request, peer)
		if not is_trusted(peer) then
			return peer, nil
		end
		local headers <const> = request.headers
		return client_of(headers.x_forwarded_for or "") or peer,
			headers.x_forwarded_proto == "https" or nil
	end
end

return proxies
