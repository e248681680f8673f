-- plain lua too
local args <const> = require "core.console.args"

local flags <const> = {
	{ name = "config", short = "c", value = "FILE" },
	{ name = "timeout", value = "SECONDS", type = "period" },
	{ name = "code", value = "N", type = "integer" },
	{ name = "color", value = "auto|never", choices = { auto = true, never = true } },
	{ name = "detach", short = "D", also = "daemon" },
	{ name = "no-wait" },
}

local function parse(line, opts)
	return args.parse(assert(args.split(line)), flags, opts)
end

describe("core.console.args", function()
	it("takes flags before, between and after the words", function()
		local values, rest = parse "-c a.lua stop --no-wait now --timeout=5m"
		assert.same({ config = "a.lua", no_wait = true, timeout = 300 }, values)
		assert.same({ "stop", "now" }, rest)
	end)

	it("leaves everything after -- and negative numbers alone", function()
		local values, rest = parse "x -5 -- --no-wait"
		assert.same({}, values)
		assert.same({ "x", "-5", "--no-wait" }, rest)
	end)

	it("stops at the first word when it is told to", function()
		local values, rest = parse("--no-wait shell --code 3", nil)
		assert.same({ no_wait = true, code = 3 }, values)
		assert.same({ "shell" }, rest)
		values, rest = parse("--no-wait shell --unknown 3", { stop_at_word = true })
		assert.same({ no_wait = true }, values)
		assert.same({ "shell", "--unknown", "3" }, rest)
	end)

	it("knows a flag by its other names", function()
		assert.same({ detach = true }, (parse "--daemon"))
		assert.same({ detach = true }, (parse "-D"))
	end)

	it("names an unknown flag and the one that was meant", function()
		local values, fault = parse "--tiemout 3"
		assert.is_nil(values)
		assert.equal("unknown option '--tiemout' (did you mean '--timeout'?)", fault)
	end)

	it("says what is wrong with a value", function()
		for line, words in pairs {
			["--code 3x"] = "option '--code': '3x' is not a whole number",
			["--timeout soon"] = "option '--timeout': 'soon' is not a time (30, 30s, 5m, 1h)",
			["--timeout 3q"] = "option '--timeout': '3q' has an unknown unit of time (ms, s, m, h, d)",
			["--color pink"] = "option '--color': 'pink' is none of auto|never",
			["--code"] = "option '--code' needs a value: N",
			["--no-wait=1"] = "option '--no-wait' takes no value",
		} do
			local values, fault = parse(line)
			assert.is_nil(values)
			assert.equal(words, fault)
		end
	end)

	it("reads times as people write them", function()
		for text, seconds in pairs { ["30"] = 30, ["1.5"] = 1.5, ["250ms"] = 0.25, ["2h"] = 7200,
			["5 minutes"] = 300, ["1 d"] = 86400 } do
			assert.equal(seconds, args.period(text))
		end
	end)

	it("splits a line with quotes into words", function()
		assert.same({ "module", "re\nload", "it's", "a b" },
			args.split [[module  "re\nload" "it's" 'a b']])
		assert.same({ "" }, args.split "''")
		assert.same({}, args.split "   ")
		local words, fault = args.split [[a "b]]
		assert.is_nil(words)
		assert.equal("a quote is not closed", fault)
	end)
end)
