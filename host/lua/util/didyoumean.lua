--- "Did you mean …": Damerau-Levenshtein distance, for check and the command line.

local didyoumean <const> = {}

--- Distances of a's first i bytes to all beginnings of b, from the two rows before; and the least
-- of them.
local function next_row(a, b, i, last, before)
	local row, best = { [0] = i }, i
	for j = 1, #b do
		local same = a:byte(i) == b:byte(j)
		local d = math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (same and 0 or 1))
		if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
			d = math.min(d, before[j - 2] + 1)
		end
		row[j], best = d, math.min(best, d)
	end
	return row, best
end

--- Optimal string alignment distance (insert, delete, substitute, swap of neighbours).
-- @param limit give up above it
-- @return the distance, or nil if it is larger than limit
function didyoumean.distance(a, b, limit)
	limit = limit or math.huge
	if math.abs(#a - #b) > limit then
		return nil
	end
	local before, last = {}, {}
	for j = 0, #b do
		last[j] = j
	end
	for i = 1, #a do
		local row, best = next_row(a, b, i, last, before)
		if best > limit then
			return nil
		end
		before, last = last, row
	end
	local result = last[#b]
	if result > limit then
		return nil
	end
	return result
end

--- The nearest candidate within two edits (one for words of up to three letters).
-- @param word what was written
-- @param candidates list of strings, or set { name = true }
-- @return the candidate or nil; among equals the alphabetically first
function didyoumean.suggest(word, candidates)
	local limit = #word <= 3 and 1 or 2
	local best, best_distance
	local function consider(candidate)
		if type(candidate) ~= "string" or candidate == word then
			return
		end
		local d = didyoumean.distance(word:lower(), candidate:lower(), limit)
		if d and (not best or d < best_distance or d == best_distance and candidate < best) then
			best, best_distance = candidate, d
		end
	end
	for key, value in pairs(candidates) do
		consider(type(key) == "number" and value or key)
	end
	return best
end

return didyoumean
