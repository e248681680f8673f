-- Sessions outlive workers and generations: the keeper has the keys of tickets (TL-12).

local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local tls <const> = require "spec.support.tls"
local wait <const> = require "spec.support.wait"

local SIGRTMIN_1 <const>, SIGRTMIN_2 <const> = 35, 36 -- test builds: a generation, new ticket keys

local who <const> = [[
local listener = {}
function listener.onconnect(conn)
	conn:write(("g%d.%d\n"):format(prosody.generation, prosody.worker))
	conn:close()
end
module:provides("net", { name = "who", default_port = 0, listener = listener, encryption = "ssl" })
]]

describe("session tickets", function ()
	local dir
	before_each(function () dir = process.temp_dir() end)
	after_each(function ()
		daemon.finish_all()
		process.remove_tree(dir)
	end)

	local function start(workers)
		tls.make(dir, "who")
		return daemon.start { fds = false, modules = { who = who }, config = ([[
			modules_enabled = { "admin_socket", "admin_shell", "who" }
			interfaces = { "127.0.0.1" }; certificates = "%s"; workers = %d
		]]):format(dir, workers or 1) }
	end

	-- One connection of s_client: who answered, and whether it resumed the session.
	local function connect(port, version, way, session)
		local code, out, err = process.run { timeout = 30, argv = { "openssl", "s_client", "-connect",
			"127.0.0.1:" .. port, "-ign_eof", "-" .. version, "-" .. way, dir .. "/" .. session } }
		assert.equal(0, code, err)
		local answer <const> = assert(out:match("(g%d+%.%d+)\n"), out .. err)
		return answer, out:find("Reused, TLSv1", 1, true) ~= nil
	end

	-- Connects with the session until `name` answers; every one of them must resume it.
	local function resume_at(name, port, version)
		wait.until_true(function ()
			local answer <const>, reused <const> = connect(port, version, "sess_in", version)
			assert.is_true(reused, ("%s at %s makes a full handshake"):format(version, answer))
			return answer == name
		end, 60, name .. " answers")
	end

	for _, version in ipairs { "tls1_2", "tls1_3" } do
		it("are read by the other worker, and by the one after it was killed, " .. version, function ()
			local d <const> = start(2)
			local port <const> = d:port("who")
			local first <const> = connect(port, version, "sess_out", version)
			local other <const> = first == "g1.1" and "g1.2" or "g1.1"
			resume_at(other, port, version)
			process.kill(d:worker_pid(), "KILL")
			d:wait_log("restarting at once")
			wait.until_true(function () return #d:log_lines("is ready after") == 3 end, 60)
			resume_at(first, port, version)
			resume_at(other, port, version)
		end)

		it("are read by the next generation, and its are by the first, " .. version, function ()
			local d <const> = start()
			local port <const> = d:port("who")
			connect(port, version, "sess_out", version)
			d:signal(SIGRTMIN_1)
			d:wait_log("worker g2%.1 is ready")
			resume_at("g2.1", port, version)
			wait.until_true(function ()
				return connect(port, version, "sess_out", version) == "g2.1"
			end, 60, "generation 2 gives a ticket")
			resume_at("g1.1", port, version)
		end)
	end

	it("are read until the third new key, by workers old and new", function ()
		local d <const> = start(2)
		local port <const> = d:port("who")
		connect(port, "tls1_3", "sess_out", "tls1_3")
		-- A worker has the keys when it says so by reading a ticket of that time.
		for n = 1, 3 do
			d:signal(SIGRTMIN_2)
			wait.until_true(function () return #d:log_lines("new ticket keys go") == n end)
			if n == 2 then
				resume_at("g1.1", port, "tls1_3")
				resume_at("g1.2", port, "tls1_3")
			end
		end
		local refused <const> = {}
		wait.until_true(function ()
			local answer <const>, reused <const> = connect(port, "tls1_3", "sess_in", "tls1_3")
			refused[answer] = refused[answer] or not reused
			return refused["g1.1"] and refused["g1.2"]
		end, 60, "both workers refuse the ticket")
		connect(port, "tls1_3", "sess_out", "new")
		local answers <const> = {}
		wait.until_true(function ()
			local answer <const>, reused <const> = connect(port, "tls1_3", "sess_in", "new")
			assert.is_true(reused)
			answers[answer] = true
			return answers["g1.1"] and answers["g1.2"]
		end, 60, "both workers read the new one")
	end)

	-- The keys as the keeper holds them, and a try to change them.
	local function keys_of(d)
		for number, target in pairs((process.fds(d.keeper_pid))) do
			if target:find("gadwall-tickets", 1, true) then
				local path <const> = ("/proc/%d/fd/%d"):format(d.keeper_pid, number)
				local file <close> = assert(io.open(path, "r+b"))
				file:setvbuf("no")
				assert.is_nil((file:write("x"))) -- sealed
				return process.read_file(path)
			end
		end
	end

	it("are made with keys that no log, state file or worker's descriptor has", function ()
		local d <const> = start()
		local keys <const> = assert(keys_of(d), "no memfd")
		assert.equal(240, #keys)
		d:signal(SIGRTMIN_2)
		d:wait_log("new ticket keys go to the workers")
		local rotated <const> = keys_of(d)
		assert.equal(keys:sub(1, 160), rotated:sub(81))
		assert.not_equal(keys:sub(1, 80), rotated:sub(1, 80))
		for _, target in pairs((process.fds(d:worker_pid()))) do
			assert.is_nil(target:find("gadwall-tickets", 1, true))
		end
		for _, name in ipairs { "/log", "/run/gadwall.state" } do
			local text <const> = assert(process.read_file(d.dir .. name))
			for at = 1, 240, 16 do
				assert.is_nil(text:find(keys:sub(at, at + 15), 1, true))
			end
		end
	end)
end)
