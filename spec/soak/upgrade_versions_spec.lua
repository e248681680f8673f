-- From the previous commit's binary to this one and back, and the other way round, under load.
-- GADWALL_PREVIOUS names another program than the one of HEAD~1, which is built here.
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local unistd <const> = require "posix.unistd"
local upgrade <const> = require "spec.support.upgrade"

-- The program of HEAD~1, with its own modules and this checkout's dependencies.
local function build(dir)
	local code, out, err = process.run { timeout = 1500, argv = { "sh", "-c", [[
		set -e
		git archive HEAD~1 | tar -x -C "$1"
		ln -s "$PWD/.deps" "$1/.deps"
		make -s -C "$1" DEPS=no FAILPOINTS=1 BUILD=build/test program
	]], "sh", dir } }
	assert(code == 0, out .. err)
	return dir .. "/build/test/gadwall"
end

describe("#soak two versions of the program", function ()
	local dir, previous

	setup(function ()
		dir = process.temp_dir()
		previous = os.getenv "GADWALL_PREVIOUS" or build(dir)
	end)
	teardown(function () process.remove_tree(dir) end)
	after_each(upgrade.finish)

	local function there_and_back(first, second)
		local folder <const> = process.temp_dir()
		local d <const> = upgrade.start { folder = folder, binary = first,
			config = ("upgrade_binary = %q"):format(folder .. "/next") }
		local function runs(generation)
			upgrade.wait_alone(d)
			return unistd.readlink("/proc/" .. upgrade.worker(d, generation) .. "/exe")
		end
		local load <const> = upgrade.load(d, { pause = 2 })
		for number = 1, 4 do
			local program <const> = number % 2 == 1 and second or first
			upgrade.link(program, folder .. "/next")
			upgrade.up(d)
			assert.equal(program, runs(number + 1))
		end
		upgrade.up(d, "rollback")
		assert.equal(second, runs(6))
		print(load:stop_clean().text)
		upgrade.stop(d)
	end

	it("take over from the older one and give back", function ()
		there_and_back(previous, daemon.binary())
	end)

	it("take over from the newer one and give back", function ()
		there_and_back(daemon.binary(), previous)
	end)
end)
