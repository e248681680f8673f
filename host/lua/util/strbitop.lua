--- Bits of strings: the second one repeats for as long as the first goes on.

local strbitop <const> = {}

local function combine(name, operation)
	return function (a, b)
		if type(a) ~= "string" or type(b) ~= "string" then
			error(("bad argument to '%s' (strings expected)"):format(name), 2)
		elseif #b == 0 then
			return a
		end
		local out <const> = {}
		for i = 1, #a do
			out[i] = string.char(operation(a:byte(i), b:byte((i - 1) % #b + 1)))
		end
		return table.concat(out)
	end
end

strbitop.sand = combine("sand", function (a, b) return a & b end)
strbitop.sor = combine("sor", function (a, b) return a | b end)
strbitop.sxor = combine("sxor", function (a, b) return a ~ b end)

--- How many bits two strings begin with in common.
function strbitop.common_prefix_bits(a, b)
	for i = 1, math.min(#a, #b) do
		local differ = a:byte(i) ~ b:byte(i)
		if differ ~= 0 then
			local bits = (i - 1) * 8
			while differ & 0x80 == 0 do
				differ, bits = differ << 1, bits + 1
			end
			return bits
		end
	end
	return math.min(#a, #b) * 8
end

return strbitop
