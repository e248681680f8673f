-- tableflip's and endless's own tests, each with an equal or
-- harder one on real hosts. Here are those that had none; the others:
--
--   tableflip                                   here
--   TestChildExit, TestUpgraderCleanExit,       upgrade_fakes (exit0, exit7, crash),
--     UncleanExit                               upgrade_program
--   TestChildKill, TestUpgraderTimeout          upgrade_fakes (hang), upgrade_kills (stop)
--   TestChildNotReady, TestChildReady           upgrade_fakes (exit0, ready-exit), upgrade_clients
--   TestFdsListen: tcp, udp, unix, abstract     upgrade_listeners ("are the same sockets")
--   TestFdsListenWithCallback                   below
--   TestFdsListenDynamicPort (and packets)      upgrade_listeners (two of port 0, datagrams)
--   TestFdsRemoveUnix: used, kept               upgrade_listeners (its inode; gone at the stop)
--   TestFdsRemoveUnix: inherited and unused     below
--   TestFdsAddListener, AddPacketConn, Conn,    below (unixgram, seqpacket, autobind, connected,
--     File, Files, ChildPassedFds               pipes, 300 at once)
--   TestParentExit (garbage)                    ipc_messages, upgrade_fakes (noise, version)
--   TestFilesAreNonblocking                     below
--   TestArgumentsArePassedCorrectly             below
--   TestUpgraderOnOS, TestUpgrade               upgrade_program, upgrade_clients, older_version
--   TestUpgrade before Ready is refused         two_verbs, upgrade_verbs
--   TestConcurrentUpgrade                       upgrade_verbs ("an upgrade is refused")
--   TestHasParent, TestWaitForParent            upgrade_rollback (inherited, predecessor-stopped)
--   TestReady, TestExit                         upgrade_generations (each state once)
--   TestShutdownCancelsUpgrade                  upgrade_verbs (stop, finish)
--   TestReadyWritesPIDFile, WithoutPath         upgrade_environment (polled), keeper_start
--   TestListenConfig                            upgrade_listeners (options stay with the socket)
--   BenchmarkUpgrade (n descriptors)            below
--   endless: ab and kill -1 at random           below
local client <const> = require "spec.support.client"
local process <const> = require "spec.support.process"
local stat <const> = require "posix.sys.stat"
local upgrade <const> = require "spec.support.upgrade"
local wait <const> = require "spec.support.wait"

-- Keeps descriptors of every kind in generation 1; later ones say which of them they have, whether
-- each is the one of that name, and talk on what is connected.
local keeps <const> = [[
	module:set_global()
	local S = require "posix.sys.socket"
	local fcntl, unistd = require "posix.fcntl", require "posix.unistd"
	local stat = require "posix.sys.stat"
	local folder = module:get_option_string("witness_folder")
	local names = { "unixgram", "seqpacket", "autobind", "connected", "pipe-read", "pipe-write" }
	for i = 1, 300 do names[#names + 1] = "many-" .. i end
	local known, fds = {}, {}
	for _, name in ipairs(names) do fds[name] = module:kept_fd(name) end

	local function make()
		local made = {}
		made.unixgram = S.socket(S.AF_UNIX, S.SOCK_DGRAM, 0)
		S.bind(made.unixgram, { family = S.AF_UNIX, path = folder .. "/gram" })
		made.seqpacket = S.socket(S.AF_UNIX, S.SOCK_SEQPACKET or 5, 0)
		S.bind(made.seqpacket, { family = S.AF_UNIX, path = folder .. "/seq" })
		S.listen(made.seqpacket, 5)
		made.autobind = S.socket(S.AF_UNIX, S.SOCK_STREAM, 0)
		S.bind(made.autobind, { family = S.AF_UNIX, path = "\0auto" .. folder })
		made.connected = S.socket(S.AF_INET, S.SOCK_STREAM, 0)
		assert(S.connect(made.connected, { family = S.AF_INET, addr = "127.0.0.1",
			port = module:get_option_integer("talk_port") }))
		made["pipe-read"], made["pipe-write"] = unistd.pipe()
		fcntl.fcntl(made["pipe-read"], fcntl.F_SETFL, fcntl.O_NONBLOCK)
		for i = 1, 300 do made["many-" .. i] = fcntl.open("/dev/null", fcntl.O_RDWR) end
		return made
	end

	local function look()
		local right, wrong = 0, {}
		for _, name in ipairs(names) do
			local fd = fds[name]
			if fd and (name:find "many" or stat.fstat(fd).st_ino == known[name]) then
				right = right + 1
			else
				wrong[#wrong + 1] = name
			end
			if name == "connected" then unistd.write(fd, "generation " .. prosody.generation .. "\n") end
			if name == "pipe-read" then
				local flags = fcntl.fcntl(fd, fcntl.F_GETFL)
				module:log("info", "non-blocking in g%d: %s", prosody.generation,
					tostring(flags & fcntl.O_NONBLOCK ~= 0))
			end
		end
		module:log("info", "kept in g%d: %d right, wrong: %s", prosody.generation, right,
			table.concat(wrong, " "))
	end

	module:handover("known", function () return known end, function (saved) known = saved end)
	module:hook("generation-activated", look)
	module:hook("server-started", function ()
		if prosody.generation > 1 then return end
		for name, fd in pairs(make()) do
			known[name] = stat.fstat(fd).st_ino
			assert(module:keep_fd(name, fd))
		end
		module:log("info", "all are kept")
	end)
]]

describe("unlike or as tableflip", function ()
	after_each(upgrade.finish)

	it("descriptors of every kind pass by name, hundreds at once, and are what they were", function ()
		local S <const> = require "posix.sys.socket"
		local fd <const> = S.socket(S.AF_INET, S.SOCK_STREAM, 0)
		assert(S.bind(fd, { family = S.AF_INET, addr = "127.0.0.1", port = 0 }))
		assert(S.listen(fd, 5))
		S.setsockopt(fd, S.SOL_SOCKET, S.SO_RCVTIMEO, 20, 0)
		local d <const> = upgrade.start { modules = { keeps = keeps }, enable = { "keeps" }, fds = false,
			config = ("talk_port = %d; upgrade_probation = 0"):format(S.getsockname(fd).port) }
		d:wait_log("all are kept", 20)
		local peer <const> = assert(S.accept(fd))
		S.setsockopt(peer, S.SOL_SOCKET, S.SO_RCVTIMEO, 20, 0)
		for generation = 2, 4 do
			upgrade.up(d)
			local line <const> = d:wait_log("kept in g" .. generation, 20)
			assert.matches("306 right, wrong: $", line)
			assert.equal(("generation %d\n"):format(generation), S.recv(peer, 100))
		end
		assert.equal(3, #d:log_lines "non%-blocking in g%d: true")
		local unistd <const> = require "posix.unistd"
		unistd.close(peer)
		unistd.close(fd)
		d:stop()
		process.remove_tree(d.folder)
	end)

	it("a Unix path that the new config does not use goes when it retires, not before", function ()
		local d <const> = upgrade.start { enable = { "path" }, modules = { path = [[
			module:set_global()
			local where = module:get_option_string("own_path")
			if where then
				assert(require "net.server".listen(where, 0, { onconnect = function (conn)
					conn:write(prosody.generation .. "\n")
					conn:close()
				end }, {}))
			end
			module:hook("listener-opened", function (event)
				module:log("info", "callback in g%d: %s inherited %s", prosody.generation,
					tostring(event.service), tostring(event.inherited))
			end) ]] } }
		local path <const> = d.folder .. "/own.sock"
		local function who()
			local c <const> = client.unix(path, 20)
			local line <const> = c and c:line()
			if c then c:close() end
			return tonumber(line)
		end
		local with <const> = ("own_path = %q"):format(path)
		upgrade.reconfigure(d, with)
		upgrade.up(d)
		assert.equal(2, who())
		local inode <const> = stat.stat(path).st_ino
		-- the callback of a listener that passes says so
		for _, line in ipairs(d:log_lines "callback in g2: http ") do assert.matches("true", line) end
		-- dropped, and taken back: nothing was removed
		upgrade.reconfigure(d, "upgrade_probation = 60")
		local outcome <const> = upgrade.begin(d, "upgrade")
		d:wait_log("upgrade 2: commit %-> probation", 20)
		assert.equal(2, who())
		assert.is_true((upgrade.ask(d, "rollback")))
		outcome()
		assert.equal(inode, stat.stat(path).st_ino)
		assert.equal(2, who())
		-- dropped for good
		upgrade.reconfigure(d, "")
		upgrade.up(d)
		upgrade.wait_alone(d)
		wait.until_true(function () return stat.stat(path) == nil end, 20, "the path to go")
		upgrade.stop(d)
	end)

	it("each generation is started with the config and the options of the first", function ()
		local d <const> = upgrade.start { args = { "--passive" }, ready = "passive", fds = false }
		local function words(generation)
			local pid <const> = upgrade.worker(d, generation)
			return process.read_file(("/proc/%d/environ"):format(pid)),
				select(2, process.run { argv = { "readlink", ("/proc/%d/cwd"):format(pid) } })
		end
		local env <const>, cwd <const> = words(1)
		local ok, text = upgrade.ask(d, "upgrade")
		if ok then
			upgrade.wait_alone(d)
			local env2 <const>, cwd2 <const> = words(2)
			assert.same({ env, cwd }, { env2, cwd2 })
			assert.equal("passive", d:state().state)
		else
			assert.matches("cannot upgrade: passive", text)
		end
		d:rebase_fds()
		d:stop()
		process.remove_tree(d.folder)
	end)
end)

describe("endless's own test, with its assertions:", function ()
	after_each(upgrade.finish)

	it("a load, signals at random moments, and nothing is lost", function ()
		local d <const> = upgrade.start {}
		local seed <const> = tonumber(os.getenv "GADWALL_SEED") or os.time()
		math.randomseed(seed)
		local load <const> = upgrade.load(d, { keepers = 8, connectors = 4 })
		local sent = 0
		wait.until_true(function ()
			d:signal "USR2"
			sent = sent + 1
			wait.sleep(math.random() * 0.4)
			return sent >= 12 and #d:log_lines "upgrade %d+: committed" >= 3
		end, 90, "three upgrades\n" .. d:log())
		wait.until_true(function ()
			local text <const> = d:log()
			return select(2, text:gsub("upgrade %d+: none", "")) ==
				select(2, text:gsub("upgrade %d+: committed", ""))
		end, 60, "the end of the last upgrade")
		local ok, err = pcall(load.stop_clean, load)
		if not ok then error("GADWALL_SEED=" .. seed .. ": " .. tostring(err)) end
		assert.is_true(upgrade.generation(d) > 3, d:log())
		upgrade.stop(d)
	end)
end)
