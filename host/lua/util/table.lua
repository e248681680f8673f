-- create(array, hash), pack(...), move(from, first, last, to [, target]); API of Prosody's
-- util.table.

local ok <const>, host <const> = pcall(require, "host.table")
if ok then return host end

-- Outside the host: nothing is preallocated.
return {
	create = function () return {} end,
	pack = table.pack,
	move = table.move,
}
