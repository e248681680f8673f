-- What a hostile or broken worker says to the keeper.
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

-- Writes a raw message into the channel (descriptor 3) instead of behaving.
local function hostile(bytes)
	return ([[
		local unistd = require "posix.unistd"
		local sent = os.getenv("SENT_FILE")
		module:add_timer(0.2, function ()
			if io.open(sent) then return end
			io.open(sent, "w"):close()
			unistd.write(3, %s)
		end)
	]]):format(bytes)
end

local function start(bytes)
	local marker = process.temp_dir() .. "/sent"
	return daemon.start { modules = { hostile = hostile(bytes) }, fds = false,
		env = { SENT_FILE = marker }, config = 'modules_enabled = { "hostile" }' }
end

describe("the keeper", function ()
	after_each(daemon.finish_all)

	it("refuses messages cut, damaged, of another speaker, with wrong descriptors", function ()
		local dir = process.temp_dir()
		local code, _, err = process.run { timeout = 60, argv = { os.getenv("CC") or "cc",
			"-std=gnu11", "-D_GNU_SOURCE", "-Ihost", "-Wall", "-o", dir .. "/check",
			"spec/support/ipc_check.c", "host/proc/ipc.c", "host/base/fd.c" } }
		assert.equal(0, code, err)
		local out
		code, out = process.run { argv = { dir .. "/check" } }
		assert.equal("all refused as they should be\n", out)
		assert.equal(0, code)
		process.remove_tree(dir)
	end)

	for what, bytes in pairs {
		["noise"] = '("x"):rep(100)',
		["a message too long"] = '("\\0"):rep(5000)',
		["a word of the keeper's own"] =
			'string.pack("=I4I2I2I4I4I4I4", 0x31574447, 1, 1, 1, 1, 0, 0)',
		["another worker's number"] =
			'string.pack("=I4I2I2I4I4I4I4", 0x31574447, 1, 12, 1, 2, 0, 0)',
		["a request for what is no verb"] =
			'string.pack("=I4I2I2I4I4I4I4s2s2", 0x31574447, 1, 18, 1, 1, 9, 10, "exec", "ls")',
		["a name that is a path with a colon"] =
			'string.pack("=I4I2I2I4I4I4I4s2", 0x31574447, 1, 13, 1, 1, 0, 8, "/a:b/c")',
	} do
		it("kills a worker that says " .. what .. ", and serves on with the next one", function ()
			local d = start(bytes)
			d:wait_log("worker g1%.1 broke the protocol")
			wait.until_true(function () return d:state().restarts == "1" end, 5, "a restart")
			wait.until_true(function () return d:state().workers == "1" end, 5, "a worker")
		end)
	end
end)
