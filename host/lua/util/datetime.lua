-- Times as XEP-0082 writes them; API of Prosody 13's util.datetime. Times are seconds since 1970,
-- UTC.

local os_date <const>, os_time <const>, floor <const> = os.date, os.time, math.floor
local match <const>, format <const>, tonumber <const> = string.match, string.format, tonumber

-- Writes `t` (default now) with microseconds if it has a fraction.
local function write(pattern, suffix, t)
	local seconds = floor(t or os_time())
	local text = os_date("!" .. pattern, seconds)
	if t and t ~= seconds then
		text = text .. format(".%06d", math.min(floor(t % 1 * 1000000 + 0.5), 999999))
	end
	return text .. suffix
end

local function date(t)
	return os_date("!%Y-%m-%d", floor(t or os_time()))
end

local function datetime(t)
	return write("%Y-%m-%dT%H:%M:%S", "Z", t)
end

local function time(t)
	return write("%H:%M:%S", "", t)
end

--- The old form of XEP-0091.
local function legacy(t)
	return os_date("!%Y%m%dT%H:%M:%S", floor(t or os_time()))
end

-- Days from 1970-01-01 in the Gregorian calendar: the year begins in March, so that the leap day is
-- its last.
local function days(year, month, day)
	if month <= 2 then year, month = year - 1, month + 12 end
	local century_part = floor(year / 100)
	return 365 * year + floor(year / 4) - century_part + floor(century_part / 4)
		+ (153 * (month - 3) + 2) // 5 + day - 719469
end

local function zone_offset(zone)
	if zone == "" or zone == "Z" then return 0 end
	local sign, hours, minutes = match(zone, "^([+-])(%d%d):?(%d?%d?)$")
	if not sign then return nil end
	local offset = tonumber(hours) * 3600 + (tonumber(minutes) or 0) * 60
	return sign == "-" and -offset or offset
end

local function in_range(value, low, high)
	return value >= low and value <= high
end

--- Reads YYYY-MM-DDThh:mm:ss[.fraction][Z or +hh:mm], and the old form without dashes.
-- @return seconds (with a fraction if the text has one), or nil if it is no such time
local function parse(s)
	if not s then return nil end
	local year, month, day, hour, min, sec, zone =
		match(s, "^(%d%d%d%d)%-?(%d%d)%-?(%d%d)T(%d%d):(%d%d):(%d%d%.?%d*)(.*)$")
	if not year then return nil end
	local offset = zone_offset(zone)
	year, month, day = tonumber(year), tonumber(month), tonumber(day)
	hour, min, sec = tonumber(hour), tonumber(min), tonumber(sec)
	if not (offset and in_range(month, 1, 12) and in_range(day, 1, 31) and in_range(hour, 0, 24)
		and in_range(min, 0, 59) and sec < 61) then
		return nil
	end
	return ((days(year, month, day) * 24 + hour) * 60 + min) * 60 + sec - offset
end

return { date = date, datetime = datetime, time = time, legacy = legacy, parse = parse }
