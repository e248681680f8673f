local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

-- A module that counts, keeps a memfd, and answers to commands of the console.
local counter <const> = [[
local unistd = require "posix.unistd"
local count, restored_from = 0, "nothing"
module:handover("count", function () return { count = count, generation = prosody.generation } end,
	function (saved)
		if FAIL_RESTORE then error("no use for it") end
		count, restored_from = saved.count, tostring(saved.generation)
	end, { vital = VITAL, version = VERSION })
local kept = module:kept_fd("log")
local function command(name, handler)
	module:add_item("shell-command", { section = "spec", name = name, args = {}, handler = handler })
end
command("count", function ()
	count = count + 1
	return true, ("%d from %s"):format(count, restored_from)
end)
command("keep", function ()
	local r, w = unistd.pipe()
	unistd.write(w, "kept")
	assert(module:keep_fd("log", r))
	unistd.close(r)
	unistd.close(w)
	return true, "kept"
end)
command("read", function ()
	return true, kept and unistd.read(kept, 100) or "nothing was kept"
end)
command("drop", function () return module:keep_fd("log", nil), "dropped" end)
]]

local function module_with(values)
	local text = counter
	for name, value in pairs { FAIL_RESTORE = values.fail or "false", VITAL = values.vital or "false",
		VERSION = values.version or "1" } do
		text = text:gsub(name, value)
	end
	return text
end

describe("state that passes to the next generation", function ()
	after_each(daemon.finish_all)

	local function start(values)
		return daemon.start {
			modules = { counter = module_with(values or {}) },
			config = [[
				modules_enabled = { "counter", "admin_socket", "admin_shell" }
				upgrade_probation = 0
			]],
			allow = { "no use for it" },
		}
	end

	local function rewrite(d, values)
		process.write_file(d.dir .. "/modules/mod_counter.lua", module_with(values))
	end

	local function ask(d, words)
		return (select(2, d:console("spec " .. words)):gsub("^OK: ", ""))
	end

	local function upgrade(d)
		local code, out, err = d:run("upgrade")
		return code, out .. err
	end

	it("is saved when the old one yields and is there when the new one answers", function ()
		local d <const> = start()
		assert.equal("1 from nothing", ask(d, "count"))
		assert.equal("2 from nothing", ask(d, "count"))
		assert.equal(0, (upgrade(d)))
		assert.equal("3 from 1", ask(d, "count"))
		assert.equal(0, (upgrade(d)))
		assert.equal("4 from 2", ask(d, "count"))
		d:rebase_fds()
		d:stop()
	end)

	it("starts afresh when its module cannot use it, or has another version", function ()
		local d <const> = start()
		ask(d, "count")
		rewrite(d, { fail = "true" })
		assert.equal(0, (upgrade(d)))
		assert.equal("1 from nothing", ask(d, "count"))
		d:wait_log "handover of 'count' of .*counter, restore: .*no use for it; it starts afresh"
		rewrite(d, { version = "2" })
		assert.equal(0, (upgrade(d)))
		assert.equal("1 from nothing", ask(d, "count"))
		d:wait_log "version 1 was saved, 2 is wanted"
		d:rebase_fds()
		d:stop()
	end)

	it("fails the upgrade when it is vital, and the old one goes on", function ()
		local d <const> = start()
		ask(d, "count")
		rewrite(d, { fail = "true", vital = "true" })
		local code, text = upgrade(d)
		assert.equal(1, code)
		assert.matches("failed in commit: worker g2%.1 cannot take: .*no use for it", text)
		assert.equal("2 from nothing", ask(d, "count"))
		rewrite(d, {})
		assert.equal(0, (upgrade(d)))
		assert.equal("3 from 1", ask(d, "count"))
		d:rebase_fds()
		d:stop()
	end)

	it("may be any descriptor, also over the death of a worker", function ()
		local d <const> = start()
		assert.equal("nothing was kept", ask(d, "read"))
		assert.equal("kept", ask(d, "keep"))
		process.kill(d:worker_pid(), "KILL")
		wait.until_true(function () return d:state().restarts == "1" and d:worker_pid() end)
		wait.until_true(function () return pcall(ask, d, "count") end)
		assert.equal("kept", ask(d, "read"))
		ask(d, "keep")
		assert.equal(0, (upgrade(d)))
		assert.equal("kept", ask(d, "read"))
		assert.equal("dropped", ask(d, "drop"))
		assert.equal(0, (upgrade(d)))
		assert.equal("nothing was kept", ask(d, "read"))
		d:rebase_fds()
		d:stop()
	end)
end)
