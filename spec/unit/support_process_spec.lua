-- plain lua too
local process <const> = require "spec.support.process"
local unistd <const> = require "posix.unistd"
local wait_until <const> = require "spec.support.wait"

describe("spec.support.process", function()
	it("runs a program with input and keeps its two outputs apart", function()
		local code, out, err = process.run {
			argv = { "sh", "-c", "cat; echo wrong >&2; exit 3" }, input = "hello",
		}
		assert.equal(3, code)
		assert.equal("hello", out)
		assert.equal("wrong\n", err)
	end)

	it("says what a program that hangs had written", function()
		local ok, err = pcall(process.run, {
			argv = { "sh", "-c", "echo begun; sleep 20" }, timeout = 0.3,
		})
		assert.is_false(ok)
		assert.matches("did not end within 0.3 s; it wrote: begun", err)
	end)

	it("reports death by a signal as 128 plus its number", function()
		local child = process.spawn { argv = { "sleep", "20" } }
		assert.is_true(child:signal("TERM"))
		assert.equal(128 + 15, child:wait_exit(2))
	end)

	it("reports a program that cannot be started as 127", function()
		assert.equal(127, process.spawn({ argv = { "/nonexistent/program" } }):wait_exit(2))
	end)

	it("sets and removes environment variables of the child only", function()
		local _, out = process.run {
			argv = { "sh", "-c", "echo ${GW_A-unset} ${HOME-unset}" },
			env = { GW_A = "1", HOME = false },
		}
		assert.equal("1 unset\n", out)
		assert.is_nil(os.getenv("GW_A"))
	end)

	it("leaves no descriptor of ours in the child", function()
		local read_end, write_end = unistd.pipe()
		local _, out = process.run { argv = { "sh", "-c", "ls /proc/self/fd | wc -l" } }
		unistd.close(read_end)
		unistd.close(write_end)
		assert.equal(4, tonumber(out)) -- 0, 1, 2 and the folder that ls reads
	end)

	it("finds descendants, sees their end, and kills a whole group", function()
		local child = process.spawn { argv = { "sh", "-c", "sleep 20 & sleep 20 & wait" } }
		wait_until(function() return #process.descendants(child.pid) == 2 end, 2, "two children")
		local below = process.descendants(child.pid)
		assert.is_true(process.alive(below[1].pid, below[1].started))
		child:destroy()
		wait_until(function()
			return not process.alive(below[1].pid, below[1].started)
				and not process.alive(below[2].pid, below[2].started)
		end, 2, "the end of both")
	end)

	it("lists open descriptors with their targets", function()
		local child = process.spawn { argv = { "sleep", "20" } }
		wait_until(function()
			local fds = process.fds(child.pid)
			return fds[0] == "/dev/null" and fds[3] == nil
		end, 2, "exec")
		child:destroy()
	end)

	it("refuses to remove a folder that is not a temp folder of specs", function()
		assert.has_error(function() process.remove_tree("/etc") end,
			"not a temp folder of ours: /etc")
	end)
end)
