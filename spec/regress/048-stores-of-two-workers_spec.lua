-- "Two workers write one store: of the keys of a map a fourth is lost, because each reads, changes
-- and writes the whole; an archive that one has emptied stays full for the other."

local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

local rounds <const>, workers <const> = 60, 3

local writer <const> = ([[
	local same, map = module:open_store "same", module:open_store("maps", "map")
	local list, archive = module:open_store("lists", "list"), module:open_store("old", "archive")
	local st = require "util.stanza"
	local n, me = 0, prosody.worker
	local function need(ok, err)
		if not ok then module:log("error", "not written: %%s", tostring(err)) end
	end
	local function write()
		n = n + 1
		local all = {}
		for i = 1, 300 do all[i] = me .. "-" .. n end
		need(same:set("u", all))
		local found = same:get "u"
		need(found and #found == 300 and found[1] == found[300], "half of it read")
		need(map:set("u", me .. "-" .. n, true))
		need(list:append("u", { me = me, n = n, long = ("x"):rep(9000) }))
		need(#(list:get "u" or {}) >= n, "items are missing")
		need(archive:append("u", "same", st.message { id = me .. "-" .. n }, os.time(), "a@b"))
		if n %% 3 == 0 then
			need(archive:append("u", "k" .. me .. n, st.message(), os.time(), "a@b"))
		end
		if n < %d then return 0.001 end
		module:log("info", "all is written")
	end
	module:hook_global("server-started", function () module:add_timer(0.2, write) end)
]]):format(rounds)

-- A writer that says when it has the lock, and keeps it.
local holder <const> = [[
	require "util.storelock".alone(arg[1], function ()
		print "locked"
		io.stdout:flush()
		require "posix.time".nanosleep { tv_sec = 60, tv_nsec = 0 }
	end)
]]

describe("regress: stores that several workers write at the same time", function ()
	after_each(daemon.finish_all)

	it("lose nothing and fail nowhere", function ()
		local d <const> = daemon.start { fds = false, modules = { writer = writer },
			allow = { "A callback took" }, config = ([[
			workers = %d; modules_enabled = { "writer" }
		]]):format(workers) }
		wait.until_true(function () return #d:log_lines "all is written" == workers end, 60)
		assert.same({}, d:log_lines "not written")
		local function count(path, pattern)
			return select(2, process.read_file(d.dir .. "/data/localhost/" .. path):gsub(pattern, ""))
		end
		assert.equal(workers * rounds, count("maps/u.dat", "%[\"%d%-%d+\"%] = true"))
		assert.equal(workers * rounds, count("lists/u.list", "\nitem") + 1)
		assert.equal(workers * rounds // 3 + 1, count("old/u.list", "\nitem") + 1)
		assert.is_nil(process.read_file(d.dir .. "/data/localhost/maps/u.dat~"))
		d:stop()
	end)

	it("are free again when a writer dies, and wait 2 s once for one that hangs", function ()
		local dir <const> = process.temp_dir()
		local path <const> = dir .. "/u.dat"
		local p <const> = process.spawn { stdout = dir .. "/out",
			argv = { daemon.binary(), "lua", "-e", holder, path } }
		wait.until_true(function () return process.read_file(dir .. "/out") == "locked\n" end, 20)
		local write <const> = [[
			local clock <const> = require "util.time".monotonic
			local began <const> = clock()
			local ok, err
			-- One of them is waited for; with each its 2 s, the loop stood for 20.
			for _ = 1, 10 do ok, err = require "util.storefile".write(arg[1], "new") end
			print(ok or err)
			if clock() - began > 15 then print "too long" end
		]]
		local function other()
			local _, out <const> = process.run { argv = { daemon.binary(), "lua", "-e", write, path } }
			return (out:gsub("%s+$", ""))
		end
		assert.equal("another process has been writing it for 2 s", other())
		p:destroy()
		assert.equal("true", other())
		assert.equal("new", process.read_file(path))
		process.remove_tree(dir)
	end)
end)
