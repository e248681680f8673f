-- plain lua too
local cache <const> = require "util.cache"
local queue <const> = require "util.queue"

local function collect(f, s, var)
	local list = {}
	for a, b in f, s, var do list[#list + 1] = { a, b } end
	return list
end

describe("util.queue", function ()
	it("gives items back in the order they came", function ()
		local q = queue.new(3)
		assert.is_nil(q:pop())
		assert.is_nil(q:peek())
		for i = 1, 3 do assert.is_true(q:push(i)) end
		assert.equal(3, q:count())
		assert.equal(1, q:peek())
		assert.same({ 1, 2, 3 }, { q:pop(), q:pop(), q:pop() })
		assert.is_nil(q:pop())
		assert.equal(0, q:count())
	end)

	it("refuses an item when full", function ()
		local q = queue.new(1)
		q:push("a")
		assert.same({ nil, "queue full", n = 2 }, table.pack(q:push("b")))
		assert.equal("a", q:pop())
		assert.is_true(q:push("b"))
	end)

	it("drops the oldest item when it wraps", function ()
		local q = queue.new(3, true)
		for i = 1, 10 do assert.is_true(q:push(i)) end
		assert.same({ { 1, 8 }, { 2, 9 }, { 3, 10 } }, collect(q:items()))
		assert.equal(3, q:count())
	end)

	it("replaces the oldest item, or pushes", function ()
		local q = queue.new(2)
		q:replace("a")
		q:push("b")
		q:replace("c")
		assert.same({ "c", "b" }, { q:pop(), q:pop() })
	end)

	it("is emptied by consume", function ()
		local q = queue.new(4)
		for i = 1, 4 do q:push(i) end
		local list = {}
		for item in q:consume() do list[#list + 1] = item end
		assert.same({ 1, 2, 3, 4 }, list)
		assert.equal(0, q:count())
	end)

	it("keeps the order over many rounds", function ()
		local q, pushed, popped = queue.new(7), 0, 0
		for round = 1, 500 do
			for _ = 1, round % 8 do
				if q:push(pushed + 1) then pushed = pushed + 1 end
			end
			for _ = 1, round % 5 do
				local item = q:pop()
				if item then
					popped = popped + 1
					assert.equal(popped, item)
				end
			end
			assert.equal(pushed - popped, q:count())
		end
	end)
end)

describe("util.cache", function ()
	it("forgets the key that was set longest ago", function ()
		local c = cache.new(2)
		c:set("a", 1)
		c:set("b", 2)
		c:set("a", 3)
		c:set("c", 4)
		assert.is_nil(c:get("b"))
		assert.same({ { "c", 4 }, { "a", 3 } }, collect(c:items()))
		assert.same({ { 4 }, { 3 } }, collect(c:values()))
		assert.equal(2, c:count())
	end)

	it("does not count reading as use", function ()
		local c = cache.new(2)
		c:set("a", 1)
		c:set("b", 2)
		c:get("a")
		c:set("c", 3)
		assert.is_nil(c:get("a"))
	end)

	it("knows its newest and its oldest entry", function ()
		local c = cache.new(3)
		assert.same({ nil, nil, n = 2 }, table.pack(c:head()))
		assert.same({ nil, nil, n = 2 }, table.pack(c:tail()))
		c:set("a", 1)
		c:set("b", 2)
		assert.same({ "b", 2 }, { c:head() })
		assert.same({ "a", 1 }, { c:tail() })
	end)

	it("removes by nil, from head, middle and tail", function ()
		for _, gone in ipairs { "a", "b", "c" } do
			local c = cache.new(3)
			for _, key in ipairs { "a", "b", "c" } do c:set(key, key) end
			assert.is_true(c:set(gone, nil))
			assert.equal(2, c:count())
			assert.is_nil(c:get(gone))
			assert.equal(2, #collect(c:items()))
			c:set("d", 1)
			c:set("e", 1)
			assert.equal(3, c:count())
		end
		assert.is_true(cache.new(1):set("never", nil))
	end)

	it("asks on_evict, which may refuse", function ()
		local asked = {}
		local c
		c = cache.new(1, function (key, value, which)
			asked[#asked + 1] = { key, value }
			assert.equal(c, which)
			return key ~= "keep"
		end)
		c:set("go", 1)
		assert.is_true(c:set("keep", 2))
		assert.is_false(c:set("third", 3))
		assert.equal(2, c:get("keep"))
		assert.same({ { "go", 1 }, { "keep", 2 } }, asked)
	end)

	it("refuses when on_evict is false", function ()
		local c = cache.new(1, false)
		assert.is_true(c:set("a", 1))
		assert.is_false(c:set("b", 2))
		assert.is_true(c:set("a", 3))
	end)

	it("lets on_evict make the cache larger, or room in it", function ()
		local c
		c = cache.new(1, function () c:resize(3) end)
		c:set("a", 1)
		c:set("b", 2)
		assert.equal(1, c:get("a"))
		c = cache.new(2, function () c:set("b", nil) end)
		c:set("a", 1)
		c:set("b", 2)
		c:set("c", 3)
		assert.same({ 1, nil, 3 }, { c:get("a"), c:get("b"), c:get("c") })
	end)

	it("evicts what is too much when it is made smaller", function ()
		local c = cache.new(5)
		for i = 1, 5 do c:set(i, i) end
		assert.is_true(c:resize(2))
		assert.same({ { 5, 5 }, { 4, 4 } }, collect(c:items()))
		assert.equal(2, c.size)
		local full = cache.new(2, false)
		full:set(1, 1)
		full:set(2, 2)
		assert.is_false(full:resize(1))
	end)

	it("looks like a table through table()", function ()
		local c = cache.new(2, false)
		local t = c:table()
		t.a = 1
		t.b = 2
		assert.equal(1, t.a)
		assert.equal(2, #t)
		assert.equal(t, c:table())
		assert.same({ { "b", 2 }, { "a", 1 } }, collect(pairs(t)))
		assert.error_matches(function () t.c = 3 end, "full")
		c:clear()
		assert.equal(0, c:count())
		assert.is_nil(t.a)
	end)

	for _, size in ipairs { 0, -1, 0.5, "x" } do
		it("does not take the size " .. size, function ()
			assert.has_error(function () cache.new(size) end)
			assert.has_error(function () cache.new(1):resize(size) end)
		end)
	end

	it("agrees with a plain model over random operations", function ()
		local c, order, values = cache.new(5), {}, {}
		for _ = 1, 2000 do
			local key, value = math.random(8), math.random(3) > 1 and math.random(100) or nil
			c:set(key, value)
			for i, k in ipairs(order) do
				if k == key then table.remove(order, i) break end
			end
			if value then table.insert(order, 1, key) end
			values[key] = value
			if #order > 5 then values[table.remove(order)] = nil end
			local got = {}
			for k, v in c:items() do
				got[#got + 1] = k
				assert.equal(values[k], v)
			end
			assert.same(order, got)
		end
	end)
end)
