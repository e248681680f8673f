-- Lua's memory in the host (base/slab.c): pieces of all sizes keep what is in them while others
-- come, grow and go, and what is empty goes back.

-- AddressSanitizer keeps freed memory for a while: what is resident says nothing there.
local sanitized <const> = os.getenv "GADWALL_SLOW"

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

	-- What doubles to 2 MiB or more is a mapping of its own (base/pages.c), which is used again.
	it("moves what grows over megabytes and shrinks again", function ()
		for round = 1, 4 do
			local t <const>, most <const> = {}, round * 150000
			for i = 1, most do t[i] = i end
			for i = 1, most do assert(t[i] == i) end
			for i = most, 1001, -1 do t[i] = nil end
			for i = 1, 5000 do t["k" .. i] = -i end -- its array shrinks as its hash grows
			for i = 1, 1000 do assert(t[i] == i) end
			for i = 1, 5000 do assert(t["k" .. i] == -i) end
			collectgarbage()
		end
	end)

	it("keeps several large pieces apart, and strings of their size", function ()
		local tables <const>, strings <const> = {}, {}
		local block <const> = ("0123456789abcdef"):rep(4096)
		for k = 1, 6 do
			local t <const>, parts <const> = {}, {}
			for i = 1, 270000 do t[i] = i + k end
			for i = 1, 32 + k do parts[i] = block end
			tables[k], strings[k] = t, table.concat(parts)
		end
		for k = 1, 6 do
			for i = 1, 270000 do assert(tables[k][i] == i + k) end
			assert(strings[k] == block:rep(32 + k))
		end
	end)

	it("gives a very large piece back at once", function ()
		local function resident()
			for line in io.lines "/proc/self/status" do
				local kib <const> = line:match "^VmRSS:%s*(%d+)"
				if kib then return tonumber(kib) end
			end
		end
		local function fill()
			local long <const> = {}
			for i = 1, 2200000 do long[i] = i end -- its array has 64 MiB
			return resident(), #long
		end
		local most <const> = fill()
		collectgarbage()
		assert.truthy(sanitized or resident() < most - 48 * 1024)
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
