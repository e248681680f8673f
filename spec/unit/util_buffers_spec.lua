-- plain lua too
local dbuffer <const> = require "util.dbuffer"
local ringbuffer <const> = require "util.ringbuffer"

describe("util.dbuffer", function ()
	it("reads across what was written", function ()
		local b = dbuffer.new()
		assert.is_true(b:write("hello ") and b:write("world"))
		assert.equal(11, #b)
		assert.equal("hello w", b:read(7))
		assert.is_nil(b:read(5))
		assert.equal("orld", b:read())
		assert.is_nil(b:read())
		assert.is_nil(b:read(1))
		assert.equal(0, b:len())
	end)

	it("reads up to a mark, which stands in one piece", function ()
		local b = dbuffer.new()
		b:write("one\ntw")
		b:write("o\nrest")
		assert.equal("one\n", b:read_until("\n"))
		assert.equal("two\n", b:read_until("\n"))
		assert.is_nil(b:read_until("\n"))
		assert.equal("rest", b:read(4))
	end)

	it("has sub and byte as strings have them, over any piece", function ()
		local text = "the quick brown fox"
		local b = dbuffer.new()
		b:write("xx")
		for c in text:gmatch "." do b:write(c) end
		b:discard(2)
		for i = -21, 21 do
			for j = -21, 21 do
				assert.equal(text:sub(i, j), b:sub(i, j))
			end
			assert.equal((text:byte(i)), (b:byte(i)))
		end
	end)

	it("refuses what is over its size, and joins pieces beyond their number", function ()
		local b = dbuffer.new(4, 2)
		assert.is_true(b:write("ab") and b:write("c") and b:write("d"))
		assert.is_nil(b:write("e"))
		assert.equal("abcd", b:read(4))
		assert.is_nil(dbuffer.new(0))
	end)

	it("drops what is asked, and all when that is less", function ()
		local b = dbuffer.new()
		b:write("hello")
		b:write("world")
		assert.is_true(b:discard(7))
		assert.equal("rld", b:sub(1))
		assert.is_true(b:discard(99))
		assert.equal(0, #b)
		assert.is_true(b:discard())
	end)
end)

describe("util.ringbuffer", function ()
	it("holds as much as it was made for", function ()
		local b = ringbuffer.new(5)
		assert.equal(5, b:write("hello"))
		assert.is_nil(b:write("!"))
		assert.same({ 5, 5, 0, 5 }, { b:length(), b:size(), b:free(), #b })
		assert.equal("he", b:read(2))
		assert.equal(2, b:write("!!"))
		assert.equal("llo!!", b:read(5, true))
		assert.is_nil(b:read(6))
		assert.is_true(b:discard(5))
		assert.is_false(b:discard(1))
	end)

	it("finds, reads up to a mark, and has sub and byte", function ()
		local b = ringbuffer.new(32)
		b:write("one\ntwo")
		assert.equal(4, b:find("\n"))
		assert.equal(5, b:find("\nt")) -- where the match ends
		assert.is_nil(b:find(""))
		assert.same({ "ne", 110 }, { b:sub(2, 3), b:byte(2) })
		assert.equal("one\n", b:readuntil("\n"))
		assert.is_nil(b:readuntil("\n"))
	end)

	it("is a string of limited length, whatever is done to it", function ()
		local seed = os.time()
		math.randomseed(seed)
		local b, text = ringbuffer.new(2000), ""
		local function check(round)
			local i, j = math.random(-12, 12), math.random(-12, 12)
			local what = ("seed %d, round %d"):format(seed, round)
			assert.same({ #text, text:sub(i, j), { text:byte(i, j) } },
				{ #b, b:sub(i, j), { b:byte(i, j) } }, what)
			local _, last = text:find("cb", 1, true)
			assert.equal(last, b:find("cb"), what)
		end
		for round = 1, 2400 do
			local n = math.random(0, 9)
			if round % 1200 > 600 then -- more is written than read at first, then the other way
				local wanted = n <= #text and text:sub(1, n) or nil
				assert.equal(wanted, b:read(n, true))
				if n % 2 == 0 then
					assert.equal(wanted, b:read(n))
				else
					assert.equal(wanted ~= nil, b:discard(n))
				end
				text = wanted and text:sub(n + 1) or text
			else
				local data = ("abc"):rep(3):sub(math.random(3)):sub(1, n)
				local fits = #text + #data <= 2000
				assert.equal(fits and #data or nil, b:write(data))
				text = fits and text .. data or text
			end
			check(round)
		end
	end)

	it("refuses a size that is none", function ()
		for _, size in ipairs { 0, -1, 1.5 } do
			assert.has_error(function () ringbuffer.new(size) end)
		end
	end)
end)
