-- "Two workers, or two generations, that stored the same thing at one time wrote into one temp
-- file: half of the stores failed with 'No such file or directory', and who read meanwhile found a
-- part of one text behind a part of the other."

local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local storefile <const> = require "util.storefile"

local writer <const> = [[
	local storefile <const> = require "util.storefile"
	local path <const>, mark <const> = arg[1], arg[2]
	for i = 1, 200 do
		assert(storefile.write(path, "return '" .. mark:rep(20000 + 37 * i) .. "'\n"))
		assert(load(assert(storefile.read(path)), path, "t"))
	end
]]

describe("regress: a store that several processes write", function ()
	it("has what one of them wrote, whole, and no write fails", function ()
		local dir <const>, running <const> = process.temp_dir(), {}
		process.write_file(dir .. "/writer.lua", writer)
		for i = 1, 3 do
			running[i] = process.spawn { stdout = dir .. "/out." .. i, argv = {
				daemon.binary(), "lua", dir .. "/writer.lua",
				dir .. "/store.dat", tostring(i),
			} }
		end
		for i = 1, 3 do
			assert.equal(0, running[i]:wait_exit(60), process.read_file(dir .. "/out." .. i))
		end
		assert.same({ "out.1", "out.2", "out.3", "store.dat", "writer.lua" }, storefile.names(dir))
		process.remove_tree(dir)
	end)
end)
