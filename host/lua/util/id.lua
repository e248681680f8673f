-- Random identifiers in base64url; API of Prosody's util.id.

local base64_encode <const> = require "util.encodings".base64.encode
local random_bytes <const> = require "util.random".bytes

local url_safe <const> = { ["+"] = "-", ["/"] = "_", ["="] = "" }

local function id(bytes)
	return (base64_encode(random_bytes(bytes)):gsub("[+/=]", url_safe))
end

return {
	tiny = function () return id(3) end, -- 4 characters: collisions are likely
	short = function () return id(9) end, -- 12: scoped, short-lived
	medium = function () return id(18) end, -- 24: tokens; more than a UUID
	long = function () return id(27) end, -- 36
	--- @param bytes of randomness. @return a function that makes such identifiers
	custom = function (bytes)
		return function () return id(bytes) end
	end,
}
