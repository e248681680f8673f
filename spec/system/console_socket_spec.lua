local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local json <const> = require "dkjson"
local process <const> = require "spec.support.process"
local stat <const> = require "posix.sys.stat"
local unistd <const> = require "posix.unistd"
local wait <const> = require "spec.support.wait"

local config <const> = [[
	modules_enabled = { "admin_shell", "echo", "lameduck", "graceful_shutdown" }
	echo_ports = { 0 }; echo_interfaces = { "127.0.0.1" }
]]

local function start(extra)
	return daemon.start { config = config .. (extra or "") }
end

local function open_folders(d)
	for _, folder in ipairs { "", "/run" } do
		stat.chmod(d.dir .. folder, tonumber("755", 8))
	end
end

describe("the admin socket", function()
	after_each(daemon.finish_all)

	it("belongs to its owner alone", function()
		local d <const> = start()
		assert.equal(tonumber("600", 8), stat.stat(d:socket_path()).st_mode & 511)
		d:stop()
	end)

	it("answers a hostile line with one clear error and serves all others", function()
		local d <const> = start()
		local bystander <const> = d:connect(d:port "echo")
		local c <const> = assert(client.unix(d:socket_path()))
		local lines <const> = {
			{ "\0\1\2\3\n", "^Error: not a line of text %(it has control characters%)$" },
			{ "\xff\xfe bad\n", "^Error: not a line of text %(it is not UTF%-8%)$" },
			{ ("a"):rep(1000000) .. "\n", "^Error: line too long %(at most 4096 bytes%)$" },
			{ ("b"):rep(4097) .. "\n", "^Error: line too long" },
			{ ("c"):rep(4096) .. "\n", "^Error: unknown command" },
			{ '{"argv":[' .. ("["):rep(3000) .. "\n", '"ok":false' },
			{ "{\"argv\":[\"\\u0000\"]}\n", '"ok":false' },
		}
		for _, case in ipairs(lines) do
			assert(c:send(case[1]))
			assert.matches(case[2], (c:line()))
		end
		c:send "version\n"
		assert.matches("^OK: ", (c:line()))
		bystander:send "still here\n"
		assert.equal("still here", bystander:line())
		d:stop()
	end)

	it("takes a line in pieces and many lines in one", function()
		local d <const> = start()
		local c <const> = assert(client.unix(d:socket_path()))
		for piece in ("server version\r\n"):gmatch "." do
			c:send(piece)
		end
		assert.matches("^OK: ", (c:line()))
		c:send(("version\n"):rep(50))
		for _ = 1, 50 do
			assert.matches("^OK: ", (c:line()))
		end
		d:stop()
	end)

	it("survives a client that leaves in the middle of everything", function()
		local d <const> = start()
		for _, text in ipairs { "", "half a li", "log follow\n", "stop --plan\nmodule li", "help\n" } do
			local c <const> = assert(client.unix(d:socket_path()))
			c:send(text)
			c:reset()
		end
		local _, last = d:console "version"
		assert.matches("^OK: ", last)
		d:stop()
	end)

	it("keeps a place for root when all others are taken", function()
		local d <const> = start()
		local allowed <const> = unistd.geteuid() == 0 and 17 or 16
		local all <const> = {}
		for i = 1, allowed do
			all[i] = assert(client.unix(d:socket_path()))
			all[i]:send "version\n"
			assert.matches("^OK: ", (all[i]:line()))
		end
		local c <const> = assert(client.unix(d:socket_path()))
		assert.matches("^Error: cannot connect: %d+ console clients already$", (c:line()))
		assert.is_true(c:closed(2))
		all[1]:close()
		assert.is_true(wait.until_true(function()
			local again <const> = assert(client.unix(d:socket_path()))
			again:send "version\n"
			local answer <const> = again:line()
			again:close()
			return answer and answer:find "^OK" ~= nil
		end, 3, "a free place"))
		d:stop()
	end)

	it("turns away a uid that has no business here #root", function()
		if unistd.geteuid() ~= 0 then
			return pending "needs root"
		end
		local d <const> = start()
		open_folders(d)
		stat.chmod(d:socket_path(), tonumber("666", 8))
		local code, out = process.run {
			argv = { "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "socat", "-u",
				"UNIX:" .. d:socket_path(), "-" },
			timeout = 5,
		}
		assert.equal(0, code)
		assert.matches("^Error: cannot connect: not permitted %(uid 65534%)", out)
		d:stop()
	end)

	it("lets the members of its group in #root", function()
		if unistd.geteuid() ~= 0 then
			return pending "needs root"
		end
		local d <const> = start 'admin_socket_group = "nogroup"'
		open_folders(d)
		assert.equal(tonumber("660", 8), stat.stat(d:socket_path()).st_mode & 511)
		for group, answer in pairs { nogroup = "^OK: ", games = "ermission denied" } do
			local _, out, err = process.run {
				argv = { "setpriv", "--reuid=65534", "--regid=" .. group, "--clear-groups", "socat",
					"-t", "1", "-", "UNIX:" .. d:socket_path() },
				input = "version\n", timeout = 5,
			}
			assert.matches(answer, out .. err)
		end
		d:stop()
	end)

	it("is found by its own user and refused to others by name #root", function()
		if unistd.geteuid() ~= 0 then
			return pending "needs root"
		end
		local dir <const> = process.temp_dir()
		stat.chmod(dir, tonumber("755", 8))
		local d <const> = daemon.start { drop_root = true, dir = dir, allow = { "data folder" },
			config = config .. 'runtime_path = "' .. dir .. '/r"; user = "nobody"; group = "nogroup"',
			ready = false }
		d:wait_log("serving", 5)
		local copy <const> = daemon.relocated(d.dir)
		for uid, answer in pairs { ["65534"] = 0, ["1"] = 1 } do
			local code, _, err = process.run {
				argv = { "setpriv", "--reuid=" .. uid, "--regid=" .. uid, "--clear-groups", copy,
					"status", "-c", d.config_file },
				env = { GADWALL_SOCKET = false, GADWALL_CONFIG = false }, timeout = 10,
			}
			assert.equal(answer, code, err)
			assert.equal(answer == 1, err:find("not permitted (uid 1)", 1, true) ~= nil, err)
		end
		d:stop()
	end)

	it("keeps its clients over a reload of both modules", function()
		local d <const> = start()
		local c <const> = assert(client.unix(d:socket_path()))
		for _, name in ipairs { "admin_shell", "admin_socket", "admin_shell" } do
			c:send("module reload " .. name .. "\n")
			assert.matches("^OK: reloaded", c:expect "^%u")
			c:send "version\n"
			assert.matches("^OK: ", c:expect "^%u")
		end
		d:stop()
	end)

	it("answers until the last phase and tells the end before it closes", function()
		local d <const> = start "lameduck_period = 1"
		local held <const> = d:connect(d:port "echo")
		held:send "x\n"
		held:line()
		local waiting <const> = assert(client.unix(d:socket_path()))
		waiting:send '{"argv":["stop","--wait","--reason","spec"]}\n'
		local _, status = wait.until_true(function()
			local lines <const> = d:console '{"argv":["status"]}'
			local object <const> = json.decode(lines[#lines]).result
			return object.phase == "lame-duck" and object or nil
		end, 2, "lame-duck"), nil
		assert.is_nil(status)
		local last
		repeat
			local line <const> = waiting:line(5)
			last = line or last
		until not line
		local answer <const> = json.decode(last)
		assert.is_true(answer.ok)
		assert.equal("clean", answer.result.result)
		assert.equal("spec", answer.result.reason)
		assert.equal(0, d:wait_exit(5))
		d:stop()
	end)
end)
