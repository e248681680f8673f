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
	return function (request, peer)
		if not is_trusted(peer) then
			return peer, nil
		end
		local headers <const>, found = request.headers, nil
		for address in (headers.x_forwarded_for or ""):gmatch("[^%s,]+") do
			found = is_trusted(address) and found or address
		end
		return found or peer, headers.x_forwarded_proto == "https" or nil
	end
end

return proxies
