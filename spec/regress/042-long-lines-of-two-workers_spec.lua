-- "Two workers log to one file: of a line longer than 4 KiB the one half stands in the middle of
-- the other worker's lines."

local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

local lines <const>, workers <const> = 1000, 3

local writer <const> = ([[
	module:set_global()
	local long <const>, written = ("x"):rep(9000), 0
	module:hook("server-started", function ()
		module:add_timer(0.2, function ()
			for _ = 1, 50 do
				written = written + 1
				module:log("info", "long %%d %%s end", written, long)
			end
			if written < %d then
				return 0.001
			end
			module:log("info", "all is written")
		end)
	end)
]]):format(lines)

describe("regress: lines longer than a buffer, in a log of several workers", function ()
	after_each(daemon.finish_all)

	it("are whole", function ()
		local d <const> = daemon.start { fds = false, modules = { writer = writer },
			allow = { "A callback took" }, config = ([[
			workers = %d; modules_enabled = { "writer" }
			log = { info = "long.log", { levels = { "warn" }, to = "console" } }
		]]):format(workers) }
		local path <const> = d.dir .. "/data/long.log"
		local text
		wait.until_true(function ()
			text = process.read_file(path) or ""
			return select(2, text:gsub("all is written\n", "")) == workers
		end, 60)
		local whole = 0
		for line in text:gmatch "[^\n]+" do
			if line:find("\tlong %d+ x+ end$") and #line > 9000 and #line < 9100 then
				whole = whole + 1
			end
		end
		assert.equal(lines * workers, whole)
		d:stop()
	end)
end)
