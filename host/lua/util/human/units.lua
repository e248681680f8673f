-- Numbers with unit prefixes; API of Prosody's util.human.units.

local prefixes <const> = {
	large = { base = 1000, "k", "M", "G", "T", "P", "E", "Z", "Y" },
	small = { base = 1 / 1000, "m", "μ", "n", "p", "f", "a", "z", "y" },
	binary = { base = 1024, "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi" },
}

--- @param b "b" for binary prefixes
-- @return multiplier, prefix (nil for none)
local function adjust(n, b)
	n = math.abs(n)
	local list = prefixes.large
	if b == "b" then list = prefixes.binary elseif n < 1 then list = prefixes.small end
	if n == 0 or n ~= n or n == math.huge then return 1, nil end
	local power = math.log(n) / math.log(list.base)
	-- 999.9999 kB must not become 1000 kB because of how log rounds
	power = math.floor(power + (list.base < 1 and 1 - 1e-9 or 1e-9))
	power = math.max(0, math.min(#list, power))
	if power == 0 then return 1, nil end
	return list.base ^ power, list[power]
end

--- @return "1.5 kB": three digits, prefix and unit
local function format(n, unit, b)
	local multiplier, prefix = adjust(n, b)
	return ("%.3g %s%s"):format(n / multiplier, prefix or "", unit)
end

return { adjust = adjust, format = format }
