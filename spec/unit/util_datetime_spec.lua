-- plain lua too
local datetime <const> = require "util.datetime"
local throttle <const> = require "util.throttle"
local time <const> = require "util.time"

describe("util.datetime", function ()
	for t, text in pairs {
		[0] = "1970-01-01T00:00:00Z", [1] = "1970-01-01T00:00:01Z", [-1] = "1969-12-31T23:59:59Z",
		[951782400] = "2000-02-29T00:00:00Z", [1234567890] = "2009-02-13T23:31:30Z",
		[4107542400] = "2100-03-01T00:00:00Z", [1709251199] = "2024-02-29T23:59:59Z",
	} do
		it("writes and reads " .. text, function ()
			assert.equal(text, datetime.datetime(t))
			assert.equal(t, datetime.parse(text))
			assert.equal(text:sub(1, 10), datetime.date(t))
			assert.equal(text:sub(12, 19), datetime.time(t))
			assert.equal((text:gsub("[-Z]", "")), datetime.legacy(t))
			assert.equal(t, datetime.parse(datetime.legacy(t)))
		end)
	end

	it("writes fractions where there are any", function ()
		assert.equal("1970-01-01T00:00:01.500000Z", datetime.datetime(1.5))
		assert.equal("00:00:01.000001", datetime.time(1.000001))
		assert.equal("1970-01-01T00:00:02Z", datetime.datetime(2.0))
		assert.equal("1970-01-01", datetime.date(1.5))
		assert.equal("19700101T00:00:01", datetime.legacy(1.5))
	end)

	it("writes the time that it is without an argument", function ()
		local now = os.time()
		assert.is_true(math.abs(datetime.parse(datetime.datetime()) - now) <= 2)
		assert.equal(10, #datetime.date())
		assert.equal(8, #datetime.time())
	end)

	for text, t in pairs {
		["2006-01-02T18:20:51+04:00"] = 1136211651, ["2006-01-02T18:20:51-0430"] = 1136242251,
		["2006-01-02T18:20:51+04"] = 1136211651, ["2006-01-02T18:20:51"] = 1136226051,
		["2006-01-02T18:20:51.25Z"] = 1136226051.25, ["2016-12-31T23:59:60Z"] = 1483228800,
	} do
		it("reads " .. text, function ()
			assert.equal(t, datetime.parse(text))
		end)
	end

	for _, text in ipairs {
		"", "x", "2006-01-02", "18:20:51", "2006-01-02 18:20:51Z", "2006-01-02T18:20:51x",
		"2006-13-02T18:20:51Z", "2006-00-02T18:20:51Z", "2006-01-32T18:20:51Z",
		"2006-01-02T25:20:51Z", "2006-01-02T18:60:51Z", "2006-01-02T18:20:61Z",
		"2006-01-02T18:20:51+4", "2006-01-02T18:20:51+0a:00",
	} do
		it(("refuses %q"):format(text), function ()
			assert.is_nil(datetime.parse(text))
		end)
	end

	it("reads nil as nil", function ()
		assert.is_nil(datetime.parse(nil))
	end)

	it("agrees with the system over random times", function ()
		local seed = os.time()
		math.randomseed(seed)
		for _ = 1, 500 do
			local t = math.random(0, 1 << 33)
			assert.equal(t, datetime.parse(os.date("!%Y-%m-%dT%H:%M:%SZ", t)), "seed " .. seed)
		end
	end)
end)

describe("util.time", function ()
	it("knows the time", function ()
		assert.is_true(math.abs(time.now() - os.time()) <= 2)
		assert.equal("float", math.type(time.now()))
	end)

	it("has a clock that never runs backwards", function ()
		local last = time.monotonic()
		for _ = 1, 1000 do
			local now = time.monotonic()
			assert.is_true(now >= last)
			last = now
		end
	end)
end)

describe("util.throttle", function ()
	it("lets pass what has been saved up, then no more", function ()
		local t = throttle.create(3, 100000)
		for _ = 1, 3 do assert.is_true(t:poll(1)) end
		local ok, balance, missing = t:poll(1)
		assert.is_false(ok)
		assert.is_true(balance < 0.1)
		assert.is_true(missing > 0.9)
		assert.is_false(t:peek())
	end)

	it("does not pay when it only peeks", function ()
		local t = throttle.create(1, 100000)
		assert.is_true(t:peek(1))
		assert.is_true(t:poll())
		assert.is_false(t:poll())
	end)

	it("spends the rest when the cost may be split", function ()
		local t = throttle.create(3, 100000)
		local ok, balance, missing = t:poll(5, true)
		assert.is_false(ok)
		assert.equal(3, balance)
		assert.equal(2, missing)
		assert.equal(0, t.balance)
	end)

	it("fills up with time, never above its size", function ()
		local t = throttle.create(10, 5)
		t:poll(10)
		t.t = t.t - 2
		assert.is_true(t:update() >= 4)
		t.t = t.t - 1000
		assert.equal(10, t:update())
	end)

	it("loses nothing when the clock is set back", function ()
		local t = throttle.create(10, 1)
		t:poll(4)
		t.t = t.t + 1000
		assert.equal(6, t:update())
	end)
end)
