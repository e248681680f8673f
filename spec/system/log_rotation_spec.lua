-- Rotation as logrotate does it: the file is moved away, then the host is told to open it anew.
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local shutdown <const> = require "spec.support.shutdown"
local wait <const> = require "spec.support.wait"

-- Logs numbered lines as fast as ten a turn of the loop.
local talker <const> = [[
	module:set_global()
	local said, mark = 0, prosody.generation .. "." .. (prosody.worker or 1)
	module:add_timer(0.01, function ()
		for _ = 1, 10 do
			said = said + 1
			module:log("info", "line %s %d", mark, said)
		end
		return 0.01
	end)
]]

local config <const> = [[
	log = { info = "all.log" }; signals = { SIGALRM = "reopen-logs" }; upgrade_probation = 0.2
]]

describe("log rotation", function ()
	after_each(daemon.finish_all)

	local function start(more)
		local d <const> = shutdown.start { enable = { "graceful_shutdown", "talker", "admin_shell" },
			allow = { "A callback took" }, modules = { talker = talker, witness = "" },
			config = config .. (more or ""), fds = false }
		return d, d.dir .. "/data/all.log"
	end

	local function read(path) return process.read_file(path) or "" end

	-- Every line of a worker is there once and in order, over all files.
	local function check(text, mark)
		local last = 0
		for number in text:gmatch("line " .. mark:gsub("%.", "%%.") .. " (%d+)\n") do
			assert.equal(last + 1, tonumber(number))
			last = last + 1
		end
		assert.is_true(last > 100, mark .. " has said " .. last)
	end

	-- Moves the file away and has it opened anew; returns once both files have been written.
	local function rotate(path, to, tell)
		assert(os.rename(path, to))
		local before <const> = #read(to)
		wait.until_true(function () return #read(to) > before end, 20, "lines in the moved file")
		tell()
		wait.until_true(function () return read(path):find("line ", 1, true) end, 20, "the new file")
	end

	it("loses no line and writes the new ones to the new file, by signals and console", function ()
		local d <const>, path <const> = start()
		local ways <const> = {
			function () d:signal "ALRM" end,
			function () d:signal "HUP" end,
			function () assert.equal(0, (d:run "reload")) end,
		}
		local files <const> = {}
		for i, tell in ipairs(ways) do
			files[i] = path .. "." .. i
			rotate(path, files[i], tell)
		end
		d:signal "TERM"
		assert.equal(0, d:wait_exit(20))
		local text <const> = {}
		for i, file in ipairs(files) do text[i] = read(file) end
		check(table.concat(text) .. read(path), "1.1")
	end)

	it("reaches every worker and an older generation that still finishes", function ()
		local d <const>, path <const> = start "workers = 2; finish_idle_wait = 30"
		local held <const> = {}
		for i = 1, 16 do
			held[i] = d:connect(d:port "echo")
			held[i]:send "x\n"
			assert.equal("x", held[i]:line())
		end
		assert.equal(0, (d:run "upgrade"))
		wait.until_true(function ()
			local text <const> = read(path)
			return text:find("line 2.1 ", 1, true) and text:find("line 2.2 ", 1, true)
		end, 20, "the new generation's lines")
		-- Workers of the older one without a client have ended.
		local old <const> = {}
		for _, generation in ipairs(d:status().generations) do
			if generation.generation == 1 then
				for _, worker in ipairs(generation.workers) do old[#old + 1] = worker.worker end
			end
		end
		assert.is_true(#old > 0)
		rotate(path, path .. ".1", function () d:signal "ALRM" end)
		for _, mark in ipairs { "2.1", "2.2", table.unpack(old) } do
			wait.until_true(function () return read(path):find("line " .. mark .. " ", 1, true) end, 20,
				mark .. " in the new file")
		end
		local size <const> = #read(path .. ".1")
		for _, c in ipairs(held) do c:close() end
		d:signal "TERM"
		assert.is_number(d:wait_exit(40))
		assert.equal(size, #read(path .. ".1"))
		local text <const> = read(path .. ".1") .. read(path)
		for _, mark in ipairs { "1.1", "1.2", "2.1", "2.2" } do check(text, mark) end
	end)
end)
