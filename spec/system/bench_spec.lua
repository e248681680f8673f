-- The benchmark cannot rot unseen: its programs are built, it runs for a moment, and what it says
-- is there. No time is judged: on a busy machine every round may be refused, and that is an answer.

local dkjson <const> = require "dkjson"
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"

local function bench(out, words)
	return process.run {
		argv = { "python3", "contrib/bench/bench.py", "--gadwall", daemon.binary(),
			table.unpack(words) },
		env = { BENCH_ROUNDS = "1", BENCH_SECONDS = "0.1", BENCH_REDO = "0", BENCH_OUT = out,
			BENCH_SERVERS = "raw-libev gadwall", BENCH_CLOSES = "50" },
		timeout = 90,
	}
end

describe("the benchmark", function ()
	local out <const> = process.temp_dir()
	local status, text, found

	setup(function ()
		local built <const>, said <const> = process.run {
			argv = { "make", "-s", "DEPS=no", "build/bench/load", "build/bench/churn",
				"build/bench/hold", "build/bench/rawecho" },
			timeout = 90,
		}
		assert.equal(0, built, said)
		status, text = bench(out, { "echo-64-1", "closes" })
		found = dkjson.decode(process.read_file(out .. "/bench.json") or "{}")
	end)

	teardown(function () process.remove_tree(out) end)

	it("ends by itself with its figures as JSON", function ()
		assert.equal(0, status, text)
		assert.truthy(text:find("generators: a server that loses", 1, true))
		for _, server in ipairs { "raw-libev", "gadwall" } do
			local round <const> = found.items["echo-64-1"].rounds[server][1]
			assert.is_nil(round.failed)
			assert.is_true(round.msgs > 0)
			assert.equal(0, round.errs + round.lost)
		end
	end)

	it("closes connections with a goodbye each", function ()
		local round <const> = found.closes.rounds[1]
		assert.is_nil(round.failed)
		assert.same({ 50, 0, 0 }, { round.ended, round.untold, round.left })
	end)

	it("has a row for every aim, with a figure or the reason why there is none", function ()
		assert.is_true(#found.aims > 30)
		for _, aim in ipairs(found.aims) do
			assert.is_true(aim.measured ~= dkjson.null and aim.measured ~= nil or #aim.why > 0,
				aim.work .. " " .. aim.figure)
		end
	end)

	it("draws a picture that is whole", function ()
		local svg <const> = process.read_file(out .. "/bench.svg")
		assert.truthy(svg:find("^<svg ") and svg:find("</svg>\n$"))
	end)
end)
