local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local wait_until <const> = require "spec.support.wait"

local talker <const> = [[
module:log("debug", "quiet")
module:log("info", "plain %s", "words")
module:log("warn", "from outside: %s", "a\nJan 01 00:00:00 fake\terror\tforged\27[31m")
module:log("error", "loud")
]]

describe("logging", function ()
	after_each(daemon.finish_all)

	local function start(log, more)
		return daemon.start {
			config = ('modules_enabled = { "admin_socket", "admin_shell", "talker" }\nlog = %s\n%s')
				:format(log, more or ""),
			modules = { talker = talker },
		}
	end

	local function read(d, name)
		return process.read_file(d.dir .. "/data/" .. name) or ""
	end

	it("sends levels to the files that the config names, one event a line", function ()
		local d = start '{ info = "all.log", error = "err.log" }'
		local all, err = read(d, "all.log"), read(d, "err.log")
		assert.matches("%u%l%l %d%d %d%d:%d%d:%d%d localhost:talker\tinfo\tplain words\n", all)
		assert.not_matches("quiet", all)
		assert.matches("\terror\tloud\n", err)
		assert.not_matches("plain", err)
		assert.not_matches("\nJan 01 00:00:00 fake", all)
		assert.not_matches("\27", all)
		local _, events = all:gsub("from outside", "")
		assert.equal(1, events)
	end)

	it("writes debug lines when debug is on", function ()
		local d = start('"one.log"', "debug = true")
		assert.matches("\tdebug\tquiet\n", read(d, "one.log"))
	end)

	it("is silent with an empty table", function ()
		local d = start "{}"
		assert.not_matches("loud", d:log())
	end)

	it("takes sinks with ranges, lists and a time format", function ()
		local d = start [[{
			{ to = "file", filename = "range.log", levels = { min = "warn" }, timestamps = "%H" },
			{ to = "file", filename = "list.log", levels = { "debug", "error" }, timestamps = false },
		}]]
		assert.matches("\n%d%d localhost:talker\twarn\tfrom outside", "\n" .. read(d, "range.log"))
		assert.matches("localhost:talker\tdebug\tquiet\n", "\n" .. read(d, "list.log"))
		assert.not_matches("plain", read(d, "list.log"))
	end)

	it("opens its files anew after they were moved away", function ()
		local d = start '{ info = "all.log" }'
		os.rename(d.dir .. "/data/all.log", d.dir .. "/data/old.log")
		assert.equal(0, (d:run("reload")))
		wait_until(function () return read(d, "all.log"):find("Config reloaded") end, 3, "the new file")
		assert.not_matches("plain words", read(d, "all.log"))
	end)

	it("does not follow a symbolic link, and says so", function ()
		local d = start '{ info = "all.log" }'
		os.remove(d.dir .. "/data/all.log")
		assert(require "posix.unistd".link("/etc/passwd", d.dir .. "/data/all.log", true))
		d:run("reload")
		d:wait_log("cannot open .-all.log")
		os.remove(d.dir .. "/data/all.log")
	end)

	it("knows sinks that a module registers, also for rules that were there before", function ()
		local d = daemon.start {
			config = 'modules_enabled = { "sink", "talker" }\nlog = { warn = "*mine" }',
			modules = {
				talker = talker,
				sink = [[
					local file = io.open(prosody.paths.data .. "/mine.log", "w")
					require "core.loggingmanager".register_sink_type("mine", function ()
						return function (source, level, message, ...)
							file:write(level, " ", message:format(...):sub(1, 5), "\n")
							file:flush()
						end
					end)
				]],
			},
		}
		assert.matches("warn from \nerror loud\n", read(d, "mine.log"))
	end)
end)
