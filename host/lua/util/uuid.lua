-- UUIDs of version 4 and 7 (RFC 9562); API of Prosody 13's util.uuid.

local hex_encode <const> = require "util.hex".encode
local random <const> = require "util.random"
local time <const> = require "util.time"

local function get_nibbles(n)
	return hex_encode(random.bytes((n + 1) // 2)):sub(1, n)
end

-- The digit whose upper bits are the variant, 10.
local function variant_digit()
	return ("%x"):format(8 + random.bytes(1):byte() % 4)
end

local function v4()
	return ("%s-%s-4%s-%s%s-%s"):format(get_nibbles(8), get_nibbles(4), get_nibbles(3),
		variant_digit(), get_nibbles(3), get_nibbles(12))
end

local last_tick = 0

--- Sorts by time: 48 bits of milliseconds, 12 bits of their fraction (RFC 9562 6.2, method 3).
-- Those of one process are strictly ascending, even if the clock is set back.
local function v7()
	last_tick = math.max(math.floor(time.now() * 4096000), last_tick + 1)
	local ms = last_tick >> 12
	return ("%08x-%04x-7%03x-%s%s-%s"):format(ms >> 16, ms & 0xffff, last_tick & 0xfff,
		variant_digit(), get_nibbles(3), get_nibbles(12))
end

return {
	v4 = v4, v7 = v7, generate = v4, get_nibbles = get_nibbles,
	seed = random.seed, -- does nothing; old modules call it
}
