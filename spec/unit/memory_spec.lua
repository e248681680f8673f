-- Lua's memory in the host (base/slab.c): pieces of all sizes keep what is in them while others
-- come, grow and go, and what is empty goes back.

describe("the host's memory for Lua", function ()
	-- A string of any length is one piece; table.concat's buffer is one that grows.
	local function text(n, seed)
		return (string.char(97 + seed % 26)):rep(n) .. seed
	end

	it("keeps pieces of all sizes apart", function ()
		local live, sizes = {}, {}
		math.randomseed(7)
		for i = 1, 60000 do
			local k <const>, n <const> = math.random(700), math.random(0, 2600)
			if sizes[k] then
				assert.equal(text(sizes[k], k), live[k])
			end
			live[k], sizes[k] = text(n, k), n
			if i % 9 == 0 then
				live[k], sizes[k] = nil, nil
			end
		end
		for k, n in pairs(sizes) do
			assert.equal(text(n, k), live[k])
		end
	end)

	it("moves what grows and shrinks with its contents", function ()
		for most = 1, 300, 7 do
			local t = {}
			for i = 1, most do t[i], t["k" .. i] = i, -i end
			for i = most, 2, -1 do t["k" .. i] = nil end
			for i = 1, most do t["n" .. i] = i end
			for i = 1, most do
				assert.is_true(t[i] == i and t["n" .. i] == i)
			end
		end
	end)

	it("is counted, and comes back to where it was", function ()
		collectgarbage() collectgarbage()
		local before <const> = collectgarbage "count"
		do
			local held = {}
			for i = 1, 20000 do held[i] = { i, ("x"):rep(i % 3000) } end
			assert.equal(20000, #held)
			assert.is_true(collectgarbage "count" > before + 20000)
		end
		collectgarbage() collectgarbage()
		assert.is_true(math.abs(collectgarbage "count" - before) < 64)
	end)
end)
