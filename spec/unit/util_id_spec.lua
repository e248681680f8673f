local id <const> = require "util.id"
local random <const> = require "util.random"
local uuid <const> = require "util.uuid"

local function all_different(make, count)
	local seen = {}
	for _ = 1, count do
		local value = make()
		assert.is_nil(seen[value])
		seen[value] = true
	end
end

describe("util.random", function ()
	for _, count in ipairs { 0, 1, 16, 256, 257, 100000 } do
		it("gives " .. count .. " bytes", function ()
			assert.equal(count, #random.bytes(count))
		end)
	end

	it("gives other bytes each time, all values alike", function ()
		all_different(function () return random.bytes(16) end, 1000)
		local counts = {}
		for byte in random.bytes(256 * 400):gmatch(".") do counts[byte] = (counts[byte] or 0) + 1 end
		for i = 0, 255 do
			local count = counts[string.char(i)] or 0
			assert.is_true(count > 250 and count < 550, "byte " .. i .. ": " .. count)
		end
	end)

	it("refuses counts that make no sense", function ()
		for _, count in ipairs { -1, 1 << 40, 1.5, "x" } do
			assert.has_error(function () random.bytes(count) end)
		end
	end)

	it("has a source and functions that do nothing for old modules", function ()
		assert.is_string(random._source)
		random.seed("x")
		random.reset()
	end)
end)

describe("util.id", function ()
	for name, length in pairs { tiny = 4, short = 12, medium = 24, long = 36 } do
		it(name .. " has " .. length .. " characters for a URL", function ()
			for _ = 1, 100 do
				local value = id[name]()
				assert.equal(length, #value)
				assert.matches("^[%w_-]+$", value)
			end
			if name ~= "tiny" then all_different(id[name], 1000) end
		end)
	end

	it("custom makes a function for a number of bytes", function ()
		for bytes, length in pairs { [1] = 2, [2] = 3, [3] = 4, [16] = 22 } do
			assert.equal(length, #id.custom(bytes)())
		end
	end)
end)

describe("util.uuid", function ()
	it("makes version 4", function ()
		for _ = 1, 100 do
			assert.matches(
				"^%x%x%x%x%x%x%x%x%-%x%x%x%x%-4%x%x%x%-[89ab]%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$",
				uuid.v4())
		end
		all_different(uuid.generate, 1000)
		assert.equal(uuid.v4, uuid.generate)
	end)

	it("makes version 7 of the time, strictly ascending", function ()
		local before = math.floor(require "util.time".now() * 1000)
		local last = ""
		for _ = 1, 1000 do
			local value = uuid.v7()
			assert.matches(
				"^%x%x%x%x%x%x%x%x%-%x%x%x%x%-7%x%x%x%-[89ab]%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$", value)
			assert.is_true(value > last)
			last = value
		end
		local ms = tonumber(last:sub(1, 8) .. last:sub(10, 13), 16)
		assert.is_true(ms >= before and ms < before + 60000)
	end)

	it("gives nibbles, even and odd", function ()
		for n = 1, 9 do assert.matches("^" .. ("%x"):rep(n) .. "$", uuid.get_nibbles(n)) end
		uuid.seed()
	end)
end)

describe("util.table", function ()
	local utable <const> = require "util.table"

	it("packs with the number of values", function ()
		assert.same({ n = 0 }, utable.pack())
		assert.same({ 1, nil, 3, nil, n = 4 }, utable.pack(1, nil, 3, nil))
		assert.equal(200, utable.pack(table.unpack({}, 1, 200)).n)
	end)

	it("creates an empty table", function ()
		assert.same({}, utable.create(10, 10))
		assert.has_error(function () utable.create(-1, 0) end)
		assert.has_error(function () utable.create(1 << 30, 0) end)
	end)

	it("moves within a table in both directions and into another", function ()
		for _, case in ipairs {
			{ 1, 3, 3, { 1, 2, 1, 2, 3 } }, { 2, 4, 1, { 2, 3, 4, 4 } }, { 3, 1, 1, { 1, 2, 3, 4 } },
		} do
			local t = { 1, 2, 3, 4 }
			assert.equal(t, utable.move(t, case[1], case[2], case[3]))
			assert.same(case[4], t)
		end
		assert.same({ 9, 1, 2 }, utable.move({ 1, 2 }, 1, 2, 2, { 9 }))
		assert.has_error(function () utable.move({}, 1, math.maxinteger, 2) end)
		assert.has_error(function () utable.move({}, math.mininteger, 1, 2) end)
	end)
end)
