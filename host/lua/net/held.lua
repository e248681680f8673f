--- The keeper as listeners need it: it holds a dup of each, also of what other workers have bound.

local held <const> = {}

-- All workers open what a reload brings, and one of them is first: the others get its socket from
-- the keeper, which has it a moment later. Waiting is short, for the loop waits too (s).
local limit <const> = 0.3

--- host.keeper, or nil where there is none.
function held.keeper()
	local ok, found = pcall(require, "host.keeper")
	return ok and type(found) == "table" and found.hold and found or nil
end

--- The socket under a held name that another worker of this generation has just bound.
-- @return fd, ours; or nil
function held.from_another(name)
	local keeper <const> = held.keeper()
	if keeper and keeper.hello.workers > 1 then
		return (keeper.want(name, limit))
	end
end

return held
