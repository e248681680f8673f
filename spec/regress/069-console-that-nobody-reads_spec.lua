-- "Lines for a console that nobody reads (a terminal after Ctrl-S, a pipe whose reader hangs)
-- stopped everything: workers waited in write(2) until the keeper killed them, new ones too, and
-- the keeper itself heard neither SIGTERM nor its own deadlines."

local daemon <const> = require "spec.support.daemon"
local fcntl <const> = require "posix.fcntl"
local process <const> = require "spec.support.process"
local stat <const> = require "posix.sys.stat"
local unistd <const> = require "posix.unistd"

local talker <const> = [[
	module:provides("net", { default_port = 0, listener = { default_mode = "*l",
		onincoming = function (conn, line)
			module:log("info", "%s %s", line, ("x"):rep(2000))
			conn:write(line .. "\n")
		end } })
]]

describe("regress: a console that nobody reads", function ()
	local dir, console

	before_each(function ()
		dir = process.temp_dir()
		assert(stat.mkdir(dir, 448) or stat.stat(dir))
		local code <const> = process.run { argv = { "mkfifo", dir .. "/console" } }
		assert.equal(0, code)
		console = assert(fcntl.open(dir .. "/console", fcntl.O_RDWR | fcntl.O_NONBLOCK))
	end)

	after_each(function ()
		daemon.finish_all()
		unistd.close(console)
	end)

	local function read_all()
		local pieces <const> = {}
		local piece = unistd.read(console, 65536)
		while piece do
			pieces[#pieces + 1] = piece
			piece = unistd.read(console, 65536) -- nil: no more, the FIFO is open here for writing too
		end
		return table.concat(pieces)
	end

	for _, workers in ipairs { 1, 2 } do
		it(("stops neither keeper nor workers (workers = %d)"):format(workers), function ()
			local d <const> = daemon.start { modules = { talker = talker }, fds = false,
				wrap = { "sh", "-c", ('exec "$@" >%s/console 2>&1'):format(dir), "sh" },
				config = ([[modules_enabled = { "talker", "admin_socket", "admin_shell" }
					interfaces = { "127.0.0.1" }; workers = %d]]):format(workers) }
			local conns <const> = {}
			for i = 1, 4 do
				conns[i] = d:connect(d:port "talker")
			end
			local function ask(line)
				for _, c in ipairs(conns) do
					c:send(line .. "\n")
					assert.equal(line, (c:line(30)))
				end
			end
			for i = 1, 100 do
				ask("line" .. i) -- 800 kB, a pipe holds 64 KiB
			end
			for _, worker in ipairs(d:status().generations[1].workers) do
				assert.equal(0, worker.restarts)
			end
			assert.equal(0, (d:run "reload"))
			assert.matches("line1 xxx", read_all())
			ask "again"
			assert.matches("warn\t%d%d+ lines are not here: resource temporarily unavailable\n"
				.. "localhost:talker[^\n]*again x", read_all())
			for i = 1, 100 do
				ask("line" .. i)
			end
			d:stop() -- and the keeper hears SIGTERM
		end)
	end
end)
