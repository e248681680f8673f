-- plain lua too
local process <const> = require "spec.support.process"

describe("contrib/dev/run-tests.lua", function ()
	local dir

	before_each(function () dir = process.temp_dir() end)
	after_each(function () process.remove_tree(dir) end)

	-- A spec file of one test with this body, that runs in plain Lua.
	local function write(name, body)
		local path <const> = dir .. "/" .. name .. "_spec.lua"
		process.write_file(path, "-- plain lua only\n"
			.. ('describe("a spec", function () it("runs", function () %s end) end)\n'):format(body))
		return path
	end

	local function run(...)
		return process.run { argv = { "lua5.4", "contrib/dev/run-tests.lua", ... }, timeout = 100,
			env = { LOGS = dir .. "/log", TAGS = false, KEEP = false, SPEC_TIMEOUT = "60",
				LUA_PATH = false, LUA_CPATH = false } }
	end

	it("counts what passed, failed and was skipped, and ends with 1 after a failure", function ()
		write("good", "assert(true)")
		local code, out = run(dir)
		assert.equal(0, code, out)
		assert.matches("\n1 passed, 0 failed, 0 skipped\n$", out)
		write("bad", 'error("no luck")')
		write("later", 'pending("needs a peer")')
		code, out = run(dir)
		assert.equal(1, code)
		assert.matches("\nfailures:\n  [^\n]*bad_spec %(lua5%.4%): a spec runs\n", out)
		assert.matches("no luck", out)
		assert.matches("\n1 passed, 1 failed, 1 skipped\n$", out)
	end)

	it("fails a file that ends early, and one that leaves a process", function ()
		write("early", "os.exit(3)")
		write("leaves", 'os.execute("sleep 50 &")')
		local code, out = run(dir)
		assert.equal(1, code)
		assert.matches("early_spec %(lua5%.4%): the file ended early with status 3", out)
		assert.matches("leaves_spec %(lua5%.4%): processes were left running: sleep", out)
		assert.matches("\n1 passed, 2 failed, 0 skipped\n$", out)
	end)

	it("runs a file once that is named twice, whatever its names", function ()
		local path <const> = write("good", "assert(true)")
		local code, out = run(path, path, dir, dir .. "/./good_spec.lua")
		assert.equal(0, code, out)
		assert.matches("\n1 passed, 0 failed, 0 skipped\n$", out)
		assert.equal(1, select(2, out:gsub("good_spec", "")))
	end)

	it("refuses a name that is no file", function ()
		local code, out, err = run(dir .. "/god_spec.lua")
		assert.equal(1, code)
		assert.equal("", out)
		assert.equal("run-tests: " .. dir .. "/god_spec.lua: No such file or directory; "
			.. "name a spec file or a folder of them\n", err)
	end)
end)
