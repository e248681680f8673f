local async <const> = require "util.async"
local host_lock <const> = require "host.lock"
local loop <const> = require "host.loop"
local process <const> = require "spec.support.process"
local timer <const> = require "util.timer"

describe("host.lock", function ()
	local dir
	before_each(function () dir = process.temp_dir() end)
	after_each(function () process.remove_tree(dir) end)

	it("gives a lock to one at a time, and says whose it is", function ()
		local path <const> = dir .. "/lock"
		local fd <const> = assert(host_lock.take(path, "7"))
		local again, err <const> = host_lock.take(path, "8")
		assert.is_nil(again)
		assert.equal("held", err)
		assert.equal("7", host_lock.holder(path))
		host_lock.release(fd)
		assert.same({ nil, "free" }, { host_lock.holder(path) })
		local other <const> = assert(host_lock.take(path, "12"))
		assert.equal("12", host_lock.holder(path))
		host_lock.release(other)
	end)

	it("says what is wrong with a file", function ()
		local fd, err <const> = host_lock.take(dir .. "/none/lock", "7")
		assert.is_nil(fd)
		assert.equal("No such file or directory", err)
		assert.has_error(function () host_lock.take(dir .. "/lock", ("x"):rep(65)) end)
	end)
end)

describe("core.active_lock", function ()
	local lock, dir, before

	before_each(function ()
		dir, before = process.temp_dir(), rawget(_G, "prosody")
		rawset(_G, "prosody", { paths = { runtime = dir }, generation = 3 })
		package.loaded["core.active_lock"] = nil
		lock = require "core.active_lock"
	end)
	after_each(function ()
		lock.release()
		package.loaded["core.active_lock"] = nil
		rawset(_G, "prosody", before)
		process.remove_tree(dir)
	end)

	it("is taken with the generation's number, and released", function ()
		assert.is_false(lock.held())
		assert.is_true(lock.take())
		assert.is_true(lock.take())
		assert.is_true(lock.held())
		assert.equal(3, lock.holder())
		assert.is_true(lock.release())
		assert.is_false(lock.release())
		assert.same({ nil, "free" }, { lock.holder() })
	end)

	it("names who holds it when one try is all there is time for", function ()
		local other <const> = assert(host_lock.take(dir .. "/active", "2"))
		assert.same({ nil, "held", 2 }, { lock.take(5) }) -- not in a runner: nobody waits
		host_lock.release(other)
	end)

	it("is waited for in a runner, up to the deadline", function ()
		local other <const> = assert(host_lock.take(dir .. "/active", "2"))
		async.set_schedule_function(timer.add_task)
		async.set_nexttick(function (fn) timer.add_task(0, fn) end)
		local first, second
		local runner <const> = async.runner(function ()
			first = table.pack(lock.take(0.05))
			second = table.pack(lock.take(30))
			loop.quit()
		end)
		timer.add_task(0.3, function () host_lock.release(other) end)
		runner:run(true)
		loop.run()
		assert.same({ nil, "held", 2, n = 3 }, first)
		assert.same({ true, n = 1 }, second)
	end)
end)
