-- plain lua too
package.path = "host/lua/?.lua;" .. package.path
local flamegraph <const> = require "core.console.flamegraph"

local stacks <const> = { ["a;b"] = 30, ["a;b;[C] string.rep"] = 50, ["a;<c>&"] = 20 }

describe("core.console.flamegraph", function ()
	it("writes folded stacks that other tools read, sorted", function ()
		assert.equal("a;<c>& 20\na;b 30\na;b;[C] string.rep 50\n", flamegraph.folded(stacks))
		assert.equal("", flamegraph.folded {})
	end)

	it("draws a box for every function, as wide as its share, above its caller", function ()
		local svg <const> = flamegraph.svg(stacks, "a title <1>")
		local seen <const> = {}
		for title, samples, x, y, width in svg:gmatch('<title>([^:]*): (%d+) samples[^<]*</title>'
			.. '<rect x="([%d.]+)" y="(%d+)" width="([%d.]+)"') do
			seen[title] = { samples = tonumber(samples), x = tonumber(x), y = tonumber(y),
				width = tonumber(width) }
		end
		assert.equal(100, seen.all.samples)
		assert.equal(100, seen.a.samples)
		assert.equal(80, seen.b.samples)
		assert.equal(20, seen["&lt;c&gt;&amp;"].samples)
		assert.near(seen.a.width * 0.8, seen.b.width, 1)
		assert.is_true(seen["[C] string.rep"].y < seen.b.y and seen.b.y < seen.a.y)
		assert.is_true(seen["[C] string.rep"].x >= seen.b.x)
		assert.matches("a title &lt;1&gt;", svg, 1, true)
		assert.matches("</svg>\n$", svg)
	end)

	it("makes a picture of nothing too", function ()
		assert.matches("</svg>\n$", flamegraph.svg({}, "nothing"))
	end)

	it("names the functions that the samples ended in, most first", function ()
		assert.same({ { name = "[C] string.rep", count = 50 }, { name = "b", count = 30 } },
			flamegraph.top(stacks, 2))
	end)
end)
