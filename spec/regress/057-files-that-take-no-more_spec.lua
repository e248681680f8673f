-- "Under a limit of file sizes (LimitFSIZE, ulimit -f) SIGXFSZ killed each worker that wrote a line
-- into a full log, and the keeper, which logged that it had heard SIGXFSZ, heard it again by that:
-- 200,000 lines in 20 s. And nobody heard of lines that a full disk had taken."

local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"

local talker <const> = [[
	local store = module:open_store "big"
	module:provides("net", { default_port = 0, listener = { default_mode = "*l",
		onincoming = function (conn, line)
			module:log("info", "%s %s", line, ("x"):rep(9000))
			local ok, err = store:set("u", { ("x"):rep(tonumber(line) or 1) })
			conn:write(tostring(ok or err) .. "\n")
		end } })
]]

describe("regress: files that take no more", function ()
	after_each(daemon.finish_all)

	it("end neither worker nor keeper, and the lost lines are counted", function ()
		local d <const> = daemon.start { fds = false, modules = { talker = talker },
			wrap = { "prlimit", "--fsize=65536:65536" },
			allow = { "Cannot write storage", "cannot write to" }, config = [[
			modules_enabled = { "talker", "admin_socket", "admin_shell" }
			interfaces = { "127.0.0.1" }; workers = 2
			log = { info = "full.log", { levels = { "warn" }, to = "console" } }
		]] }
		local c <const> = d:connect(d:port "talker")
		local function ask(line)
			c:send(line .. "\n")
			return assert(c:line())
		end
		for i = 1, 12 do
			assert.equal("true", ask("line" .. i))
		end
		assert.equal("Error saving to storage", ask "100000")
		d:wait_log "log: cannot write to .*/full%.log: File too large"
		-- The keeper writes into it, too.
		assert.equal(0, (d:run "drain"))
		assert.equal(0, (d:run "undrain"))
		local status <const> = d:status()
		for _, worker in ipairs(status.generations[1].workers) do
			assert.equal(0, worker.restarts)
		end
		assert.is_true(#d:log() < 20000)
		process.run { argv = { "truncate", "-s", "0", d.dir .. "/data/full.log" } }
		assert.equal("true", ask "again")
		local text <const> = process.read_file(d.dir .. "/data/full.log")
		local lost <const> = tonumber(text:match "warn\t(%d+) lines are not here: File too large\n")
		assert.is_true(lost > 5 and lost < 60, lost)
		assert.matches("info\tagain x+\n", text)
		c:close()
		d:stop()
	end)
end)
