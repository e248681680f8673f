-- Bytes that nobody can guess; API of Prosody's util.random.

local ok <const>, host <const> = pcall(require, "host.random")

local random = { seed = function () end, reset = function () end }

if ok then
	random.bytes, random._source = host.bytes, host._source
	return random
end

-- Outside the host.
local urandom <const> = assert(io.open("/dev/urandom", "rb"))
urandom:setvbuf("no")

--- @param n how many. @return a string; raises when the generator fails
function random.bytes(n)
	if n == 0 then return "" end
	local bytes, err = urandom:read(n)
	if not bytes or #bytes ~= n then error("/dev/urandom: " .. tostring(err or "end of file")) end
	return bytes
end

random._source = "/dev/urandom"

return random
