-- Background jobs and telemetry, and the order in which a finish and a stop end things.
local daemon <const> = require "spec.support.daemon"
local shutdown <const> = require "spec.support.shutdown"
local wait <const> = require "spec.support.wait"

-- Jobs of every kind; each step is a line "step …" of the log.
local worker <const> = [[
module:set_global()
local promise = require "util.promise"
local timer = require "util.timer"
local async = require "util.async"
local function step(...) module:log("info", "step " .. table.concat({...}, " ")) end
module:background("plain", { start = function () step("start plain") end,
	cancel = function (reason) step("cancel plain", reason) end })
local finish
module:background("promised", { start = function ()
		return promise.new(function (resolve) finish = resolve end)
	end, cancel = function ()
		timer.add_task(0.3, function () step("promised is over") finish() end)
	end })
module:background("told", { start = function (done) finish_told = done end,
	cancel = function ()
		timer.add_task(0.2, function () step("told is over") finish_told() end)
		return false
	end })
module:background("waiting", { start = function () end, cancel = function ()
		async.sleep(0.1)
		step("waiting is over")
	end })
module:background("short", { start = function (done) done() step("short is over") end,
	cancel = function () step("cancel short: never") end })
module:hook("server-stopping", function (event) step("stores", tostring(event.evict)) end)
module:hook("listener-closed", function (event)
	if event.service == "echo" then step("listener closed") end
end)
module:provides("telemetry", { name = "metrics", timeout = 2, flush = function ()
		step("telemetry begins")
		return promise.new(function (resolve)
			timer.add_task(0.1, function () step("telemetry is over") resolve() end)
		end)
	end })
function module.unload() step("telemetry unloaded") end
]]

local other <const> = [[
module:set_global()
function module.unload() module:log("info", "step other unloaded") end
]]

local stuck <const> = [[
module:set_global()
module:background("endless", { timeout = 0.3, start = function () end,
	cancel = function () return false end })
module:background("slow", { start = function () end, cancel = function () return false end })
module:background("raises", { start = function () end, cancel = function () error("no way") end })
module:provides("telemetry", { name = "dead", timeout = 0.2, flush = function ()
	return require "util.promise".new() end })
module:provides("telemetry", { name = "broken", flush = function () error("no network") end })
]]

local function steps(d)
	local list = {}
	for _, line in ipairs(d:log_lines("step ")) do list[#list + 1] = line:match("step (.+)$") end
	return list
end

local function start(spec)
	spec.modules = { worker = worker, other = other }
	spec.enable = { "graceful_shutdown", "worker", "other" }
	local d = shutdown.start(spec)
	d:wait_log("step short is over")
	return d
end

local expected <const> = {
	"start plain", "short is over", "listener closed", "cancel plain WHY", "waiting is over",
	"told is over", "promised is over", "stores EVICT", "other unloaded", "telemetry begins",
	"telemetry is over", "telemetry unloaded",
}

local function check(d, why, evict)
	local list = {}
	for i, line in ipairs(expected) do
		list[i] = line:gsub("WHY", why):gsub("EVICT", evict)
	end
	assert.same(list, steps(d))
	local report = shutdown.report(d)
	assert.equal("clean", report.result)
	assert.equal(0, report.lost.jobs)
end

describe("a background job", function ()
	after_each(daemon.finish_all)

	it("is joined by finish after the listeners, before the stores, telemetry last", function ()
		local d = start {}
		shutdown.control(d) 'lifecycle.finish("WHY") return 1'
		assert.equal(0, d:wait_exit(20))
		check(d, "WHY", "false")
		local names = {}
		for i, phase in ipairs(shutdown.report(d).phases) do names[i] = phase.phase end
		assert.equal("close-clients background-jobs server-stopping quit", table.concat(names, " "))
	end)

	it("is joined by a stop in the same order", function ()
		local d = start {}
		d:signal("TERM")
		assert.equal(0, d:wait_exit(20))
		check(d, "SIGTERM", "true")
	end)

	it("that does not join in its time is named, counted, and holds nobody longer", function ()
		local d = shutdown.start { exit = 75, modules = { stuck = stuck },
			allow = { "no way", "no network" },
			enable = { "graceful_shutdown", "stuck" }, config = "job_timeout = 0.6" }
		local control = shutdown.control(d)
		d:signal("TERM")
		wait(function ()
			return control "return lifecycle.stop_status() and lifecycle.stop_status().holders[1] ~= nil"
				== "true"
		end, 10, "a holder in the status")
		assert.equal(75, d:wait_exit(20))
		local report, held = shutdown.report(d), {}
		for _, holder in ipairs(report.holders) do
			held[holder.hold] = holder.module .. " " .. holder.phase
		end
		assert.same({ ["job endless"] = "stuck stop-services", ["job slow"] = "stuck stop-services",
			["telemetry dead"] = "stuck quit" }, held)
		assert.equal(2, report.lost.jobs)
		assert.equal("expired", report.result)
		local raised = {}
		for _, err in ipairs(report.errors) do raised[err.event] = err.module end
		assert.same({ ["job raises"] = "stuck", ["telemetry broken"] = "stuck" }, raised)
		assert.truthy(d:wait_log("hold 'job endless' of stuck was not released within 0.3 s"))
	end)

	it("is not waited for when the stop is hurried", function ()
		local d = shutdown.start { exit = 75, modules = { stuck = stuck },
			allow = { "no way", "no network" },
			enable = { "graceful_shutdown", "stuck" }, config = "job_timeout = 60" }
		shutdown.control(d) 'lifecycle.stop(nil, nil, { now = true }) return 1'
		assert.equal(75, d:wait_exit(20))
		assert.equal(2, shutdown.report(d).lost.jobs)
	end)

	it("ends with its module, and begins anew with its reload", function ()
		local d = start {}
		local control = shutdown.control(d)
		control 'require "core.modulemanager".reload("*", "worker") return 1'
		wait(function () return #d:log_lines("step start plain") == 2 end)
		assert.equal(1, #d:log_lines("step cancel plain unload"))
		control 'require "core.modulemanager".unload("*", "worker") return 1'
		wait(function () return #d:log_lines("step cancel plain unload") == 2 end)
		wait(function () return control 'return #require "core.jobs".list()' == "0" end)
		assert.equal(0, #d:log_lines("never"))
	end)

	it("flushes telemetry of a module that stands on others, which were unloaded with it", function ()
		local d = shutdown.start { enable = { "graceful_shutdown", "standing" }, modules = {
			standing = [[
				module:depends "below"
				module:provides("telemetry", { name = "t", flush = function ()
					module:log("info", "step flushed, below is %s",
						require "core.modulemanager".is_loaded(module.host, "below") and "there" or "gone")
				end })
			]], below = 'module:provides("net", { name = "below", listener = {} })',
		}, config = "below_ports = {}" }
		d:signal("TERM")
		assert.equal(0, d:wait_exit(20))
		assert.equal(1, #d:log_lines "step flushed, below is there")
	end)
end)
