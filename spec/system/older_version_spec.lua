-- From an older commit's binary to this one and back (make test-older): nothing is lost on the way.
-- GADWALL_OLDER is that binary. Before, ipc.c knew its own version only.
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local upgrade <const> = require "spec.support.upgrade"
local wait <const> = require "spec.support.wait"

local older <const> = os.getenv "GADWALL_OLDER"

-- A host that was started by one of the two; what it upgrades to is what FOLDER/next points to.
local function start(binary, target)
	local folder <const> = process.temp_dir()
	upgrade.link(target, folder .. "/next")
	local d <const> = upgrade.start { binary = binary, folder = folder, fds = false,
		config = ("upgrade_probation = 0.2; upgrade_binary = %q"):format(folder .. "/next"),
		allow = { "the keeper stays what it is", "the state of the keeper cannot be taken over" } }
	d.next = folder .. "/next"
	return d
end

-- Of the youngest worker of the state file: a keeper may be no parent of what it has taken over.
local function exe(d)
	local pid, youngest = nil, 0
	local text <const> = process.read_file(d.dir .. "/run/state") or ""
	for generation, found in text:gmatch "\nworker (%d+) %d+ (%d+)" do
		if tonumber(generation) > youngest then pid, youngest = found, tonumber(generation) end
	end
	local _, path = process.run { argv = { "readlink", ("/proc/%s/exe"):format(pid) } }
	return (path:gsub("\n", ""))
end

-- The keeper has changed its binary, or has said that it stays.
local function wait_changed(d, times)
	wait.until_true(function ()
		return #d:log_lines "the keeper runs .* now" + #d:log_lines "the keeper stays" == times
	end, 30, "the keeper's own change\n" .. d:log())
end

local function go(d, verb, generation, binary)
	upgrade.up(d, verb)
	upgrade.wait_generation(d, generation)
	upgrade.wait_alone(d)
	assert.equal(binary, exe(d))
end

describe("#older a host", function ()
	after_each(upgrade.finish)

	it("that an older binary started goes to this one, back by rollback, and here again", function ()
		local new <const> = daemon.binary()
		local d <const> = start(older, new)
		local load <const> = upgrade.load(d)
		go(d, "upgrade", 2, new)
		wait_changed(d, 1)
		go(d, "rollback", 3, older)
		wait_changed(d, 2)
		go(d, "upgrade", 4, new)
		load:stop_clean()
		upgrade.singletons(d)
		d:stop()
	end)

	it("that this binary started goes to an older one, and back by rollback", function ()
		local new <const> = daemon.binary()
		local d <const> = start(new, older)
		local load <const> = upgrade.load(d)
		go(d, "upgrade", 2, older)
		wait_changed(d, 1)
		go(d, "rollback", 3, new)
		load:stop_clean()
		d:stop()
	end)

	-- The first keeper is killed; the second has another version.
	local function lose_keeper(first, second, target)
		local d <const> = start(first, target)
		d.spec.exit = false
		local load <const> = upgrade.load(d)
		d:signal "KILL"
		d:wait_exit(10)
		local e <const> = daemon.start { dir = d.dir, config_file = d.config_file, log = "next",
			binary = second, fds = false, timeout = 30, allow = d.spec.allow }
		e.http, e.echo = d.http, d.echo
		assert.equal(first, exe(e))
		go(e, "upgrade", 2, target)
		go(e, "rollback", 3, first)
		load:stop_clean()
		e:stop()
		d:destroy()
	end

	it("whose keeper dies is taken over by one of this version, which upgrades it", function ()
		lose_keeper(older, daemon.binary(), daemon.binary())
	end)

	it("whose keeper dies is taken over by an older one, which upgrades it", function ()
		lose_keeper(daemon.binary(), older, older)
	end)
end)
