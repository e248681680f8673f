--- The end of several things that end by themselves, each in its time.

--- @param count how many there are
-- @param done called once, when all are over; at once if there are none
-- @return function that gives, for each of them, the function to call when it is over (more than
--   once does no harm)
-- @return function that stops the waiting: done() follows at once
return function (count, done)
	local left, finished = count, false
	local function finish()
		if not finished then
			finished = true
			done()
		end
	end
	local function part()
		local over = false
		return function ()
			if not over then
				over, left = true, left - 1
				if left == 0 then
					finish()
				end
			end
		end
	end
	if count == 0 then
		finish()
	end
	return part, finish
end
