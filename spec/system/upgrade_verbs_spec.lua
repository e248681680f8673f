-- Two verbs at once: the columns upgrade and rollback, and the rows of an upgrade
-- before its commit and in probation. The other cells: two_verbs_spec.lua, two_verbs_stop_spec.lua.
local process <const> = require "spec.support.process"
local two <const> = require "spec.support.two_verbs"
local upgrade <const> = require "spec.support.upgrade"
local wait <const> = require "spec.support.wait"

local refused <const> = two.refused

local function no(state)
	return { "is refused", function (d) refused(d, "upgrade", state) end },
		{ "is refused", function (d) refused(d, "rollback", state) end }
end

-- Of a state without a worker that could answer: as a signal.
local function by_signal(words)
	return function (verb)
		return { "is refused in the log", function (d)
			two.ask(d, verb)
			d:wait_log("cannot " .. verb .. ": " .. words)
		end }
	end
end

local cells <const> = {}

local function row(state, upgrade_cell, rollback_cell)
	cells[state] = { upgrade = upgrade_cell, rollback = rollback_cell }
end

row("starting", by_signal "starting" "upgrade", by_signal "starting" "rollback")
row("serving", { "is done", function (d)
	two.ask(d, "upgrade")
	d:wait_log("upgrade 1: committed in probation", 20)
end }, by_signal "no previous binary is known" "rollback")
row("draining", { "is done, and the new one starts draining until undrain", function (d)
	two.ask(d, "upgrade")
	d:wait_log("upgrade 1: committed in probation", 20)
	two.reach(d, "draining")
	two.ask(d, "undrain")
	two.reach(d, "serving")
end })
row("finishing", no "finishing")
row("the teardown of finishing", no "finishing")
row("stopping", no "stopping")
row("the lame-duck phase", no "stopping")
row("failed", { "cures it", function (d)
	two.clear(d, "die")
	two.ask(d, "upgrade")
	two.reach(d, "serving")
end }, by_signal "no previous binary is known" "rollback")

describe("two verbs at once:", function ()
	after_each(upgrade.finish)
	two.run(it, cells)
end)

-- The host in an upgrade whose new worker stands still before its commit, and one in probation.
local states <const> = {}

function states.before()
	local d <const> = upgrade.start { exit = false, fds = false,
		env = { GADWALL_FAILPOINT = "g2/worker-ready:stop" } }
	d.outcome = upgrade.begin(d, "upgrade")
	d:wait_log("upgrade 1: spawn %-> load", 20)
	function d.go_on()
		wait.until_true(function () return upgrade.worker(d, 2) end)
		local pid <const> = upgrade.worker(d, 2)
		wait.until_true(function ()
			return (process.read_file("/proc/" .. pid .. "/stat") or ""):find "%) T "
		end, 20, "a stopped worker")
		process.kill(pid, "CONT")
	end
	return d
end

function states.probation()
	local d <const> = upgrade.start { config = "upgrade_probation = 60", exit = false, fds = false }
	d.outcome = upgrade.begin(d, "upgrade")
	d:wait_log("upgrade 1: commit %-> probation", 20)
	upgrade.wait_generation(d, 2)
	return d
end

local function outcome(d, good, words)
	local ok, text = d.outcome()
	assert.equal(good, ok, text)
	assert.matches(words, text)
end

-- Both generations end, and the host with them: one report each, exit status 0.
local function ends(d)
	assert.equal(0, d:wait_exit(20))
	assert.same({}, d:children())
end

local function asked(d, words, pattern)
	local ok, text = upgrade.ask(d, words)
	assert.is_false(ok)
	assert.matches(pattern, text)
end

describe("in an upgrade before its commit", function ()
	after_each(upgrade.finish)
	local d
	before_each(function () d = states.before() end)

	it("reload, upgrade are refused, drain is inherited", function ()
		local code, _, err = d:run "reload"
		assert.equal(1, code)
		assert.matches("upgrading", err)
		asked(d, "upgrade", "cannot upgrade: already upgrading %(generation 2, state %a+%) %(.+%)")
		assert.is_true((upgrade.ask(d, "drain echo")))
		assert.is_true((upgrade.ask(d, "drain")))
		two.reach(d, "draining")
		d.go_on()
		outcome(d, true, "generation 2 is active")
		d:wait_log "passive %-> serving"
		two.reach(d, "draining")
		assert.is_true((upgrade.ask(d, "undrain")))
		two.reach(d, "serving")
		-- a service that was drained by itself stays so
		d:wait_log "g2%.1.*drain%-started: .*echo.*as before the upgrade"
	end)

	it("rollback aborts it", function ()
		local ok, text = upgrade.ask(d, "rollback")
		assert.is_true(ok, text)
		assert.matches("aborted", text)
		outcome(d, false, "failed in %a+: aborted")
		assert.equal(1, (upgrade.generation(d)))
		upgrade.up(d)
	end)

	it("finish ends the new one, then the host", function ()
		d:signal "USR1"
		outcome(d, false, "failed in %a+: the host finishes")
		ends(d)
		assert.matches("generation 2: SIGKILL", d:log())
	end)

	it("stop ends the new one, then the host", function ()
		d:signal "TERM"
		ends(d)
		assert.matches("upgrade 1: failed in %a+: ", d:log())
		assert.equal(1, #d:log_lines "shutdown report:")
	end)
end)

describe("in probation", function ()
	after_each(upgrade.finish)
	local d
	before_each(function () d = states.probation() end)

	it("reload and drain are for the active one; an upgrade is refused", function ()
		asked(d, "upgrade", "cannot upgrade: probation, %d+ s left %(.+%)")
		assert.equal(0, (d:run "reload"))
		d:wait_log "config%[g2%.1%].*Config reloaded"
		assert.same({}, d:log_lines "^config +.*Config reloaded")
		assert.is_true((upgrade.ask(d, "drain")))
		two.reach(d, "draining")
		assert.is_true((upgrade.ask(d, "undrain")))
		two.reach(d, "serving")
		assert.is_true((upgrade.ask(d, "rollback")))
		outcome(d, false, "rolled%-back in probation: generation 1 is active again")
		assert.equal(1, (upgrade.generation(d)))
	end)

	it("finish is for both generations", function ()
		d:signal "USR1"
		ends(d)
	end)

	it("stop is for both generations", function ()
		d:signal "TERM"
		ends(d)
	end)
end)
