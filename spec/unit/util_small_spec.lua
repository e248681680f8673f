local argparse <const> = require "util.argparse"
local bits <const> = require "util.bitcompat"
local hashes <const> = require "util.hashes"
local hashring <const> = require "util.hashring"
local hex <const> = require "util.hex"
local indexedbheap <const> = require "util.indexedbheap"
local jsonpointer <const> = require "util.jsonpointer"
local paths <const> = require "util.paths"
local strbitop <const> = require "util.strbitop"
local turns <const> = require "spec.support.turns"
local watchdog <const> = require "util.watchdog"

describe("util.hashring", function ()
	local function ring(nodes)
		local r = hashring.new(128, hashes.sha1)
		r:add_nodes(nodes)
		return r
	end

	it("moves only the keys of a node that goes", function ()
		local r = ring { "a", "b", "c" }
		local less = r:clone()
		assert.is_true(less:remove_node("b"))
		assert.is_false(less:remove_node("b"))
		local moved = 0
		for i = 1, 500 do
			local before, after = r:get_node("key" .. i), less:get_node("key" .. i)
			if before ~= after then
				moved = moved + 1
				assert.equal("b", before)
			end
		end
		assert.is_true(moved > 50 and moved < 300)
	end)

	it("has no node when it is empty", function ()
		assert.is_nil((ring {}):get_node("x"))
	end)
end)

describe("util.indexedbheap", function ()
	it("gives items by priority, through any order of changes", function ()
		local heap, at, live = indexedbheap.create(), {}, 0
		math.randomseed(7)
		for i = 1, 500 do
			at[heap:insert("item" .. i, math.random(100))] = true
			live = live + 1
		end
		for id in pairs(at) do
			local what = math.random(3)
			if what == 1 then
				heap:reprioritize(id, math.random(100))
			elseif what == 2 then
				local _, _, removed = heap:remove(id)
				assert.equal(id, removed)
				live = live - 1
			end
		end
		local last = -1
		for _ = 1, live do
			local first = heap:peek()
			local priority, item, id = heap:pop()
			assert.equal(first, priority)
			assert.is_true(priority >= last and item ~= nil and at[id])
			last = priority
		end
		assert.is_nil(heap:pop())
		assert.is_nil(heap:remove("nobody"))
	end)
end)

describe("util.jsonpointer", function ()
	local value = { foo = { "bar", "baz" }, [""] = 0, ["a/b"] = 1, ["m~n"] = 8 }
	for path, want in pairs { ["/foo/0"] = "bar", ["/foo/1"] = "baz", ["/"] = 0, ["/a~1b"] = 1,
		["/m~0n"] = 8 } do
		it("finds " .. path, function () assert.equal(want, jsonpointer.resolve(value, path)) end)
	end
	for _, path in ipairs { "/foo/2", "/foo/-", "/foo/00", "/foo/x", "/nothing", "/foo/0/deeper" } do
		it("finds nothing at " .. path, function ()
			assert.is_nil((jsonpointer.resolve(value, path)))
		end)
	end
	it("gives all for the empty path", function ()
		assert.equal(value, jsonpointer.resolve(value, ""))
	end)
end)

describe("util.argparse", function ()
	it("reads options and leaves the rest", function ()
		local arg = { "--a", "--b=c", "--no-d", "-v", "--f", "g", "--", "--h" }
		local config = { short_params = { v = "verbose" }, value_params = { f = true } }
		local opts = argparse.parse(arg, config)
		assert.same({ a = true, b = "c", d = false, verbose = true, f = "g", "--h" }, opts)
		assert.same({ "--h" }, arg)
	end)

	it("says which word is wrong", function ()
		assert.same({ nil, "param-not-found", "-x" }, { argparse.parse({ "-x" }) })
		assert.same({ nil, "missing-value", "--f" },
			{ argparse.parse({ "--f" }, { value_params = { f = true } }) })
		assert.same({ nil, "param-not-found", "--g" },
			{ argparse.parse({ "--g" }, { strict = true, value_params = { f = true } }) })
	end)

	it("collects lists", function ()
		assert.same({ x = { "1", "2" } },
			argparse.parse({ "--x", "1", "--x=2" }, { array_params = { x = true } }))
	end)
end)

describe("util.strbitop and util.bitcompat", function ()
	it("combine strings bit by bit, the second repeated", function ()
		assert.equal("\0\0", strbitop.sand("ab", "\0"))
		assert.equal("cb", strbitop.sor("ab", "\2"))
		assert.equal("BB", strbitop.sxor("aa", "#"))
		assert.equal("ab", strbitop.sxor("ab", ""))
		assert.equal(8 + 7, strbitop.common_prefix_bits("ab", "ac"))
		assert.equal(16, strbitop.common_prefix_bits("ab", "ab!"))
	end)

	it("combine numbers", function ()
		assert.same({ 1, 7, 6, 8, 2 }, { bits.band(5, 3, 1), bits.bor(5, 3), bits.bxor(5, 3),
			bits.lshift(1, 3), bits.rshift(16, 3) })
	end)
end)

describe("util.watchdog", function ()
	it("calls when nobody resets it, and not when somebody does or it is cancelled", function ()
		local called = {}
		local function note(dog) called[dog] = true end
		local left, cancelled = watchdog.new(0.05, note), watchdog.new(0.05, note)
		local kept = watchdog.new(0.05, note)
		kept:reset(30)
		cancelled:cancel()
		turns.run_until(function () return called[left] end, 2, "the call")
		turns.run_for(0.05)
		assert.is_nil(called[cancelled])
		assert.is_nil(called[kept])
		kept:cancel()
	end)
end)

describe("util.paths and util.hex", function ()
	it("take numbers for text, and join what there is before a nil", function ()
		assert.equal("a/5/b", paths.join("a", 5, "b"))
		assert.equal("a", paths.join("a", nil, "b"))
		assert.equal("3132", hex.encode(12))
		assert.equal("\18", hex.decode(12))
	end)
end)
