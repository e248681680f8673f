--- The functions of Lua 5.2's bit32 that Prosody's modules use, on 5.4's integers.

local bits <const> = {}

local function fold(operation, start)
	return function (...)
		local result = start
		for i = 1, select("#", ...) do
			result = operation(result, (select(i, ...)))
		end
		return result
	end
end

bits.band = fold(function (a, b) return a & b end, -1)
bits.bor = fold(function (a, b) return a | b end, 0)
bits.bxor = fold(function (a, b) return a ~ b end, 0)

function bits.bnot(a) return ~a end
function bits.lshift(a, n) return a << n end
function bits.rshift(a, n) return a >> n end

--- Rotates 32 bits to the left.
function bits.lrotate(a, n)
	n, a = n % 32, a & 0xffffffff
	return (a << n | a >> (32 - n)) & 0xffffffff
end

return bits
