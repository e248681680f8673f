-- Checks that modules register with mod_health: what they may do, and what none of them can do.

local admin_http <const> = require "spec.support.admin_http"
local daemon <const> = require "spec.support.daemon"
local wait <const> = require "spec.support.wait"

local start <const> = admin_http.start

-- A daemon with one check; `body` is the body of check(), `more` other fields of the item.
local function with(body, more, config)
	return start { enable = { "checker" }, config = config, modules = { checker = ([[
		local promise, async, timer = require "util.promise", require "util.async", require "util.timer"
		module:add_item("health-check", { name = "db", interval = 0.2, timeout = 0.3, %s
			check = function () %s end })
	]]):format(more or "", body) }, allow = { "check db", "callback", "traceback", "on purpose" } }
end

local function becomes(d, status, err)
	local object
	wait(function ()
		object = admin_http.health(d, "/readyz")
		local db = object.checks.db
		return db.status == status and (not err or (db.error or ""):find(err))
	end, 15, ("the check to be %s (%s)"):format(status, tostring(err)))
	return object
end

describe("a health check", function ()
	after_each(daemon.finish_all)

	it("that passes leaves the host ready, and its result has an age", function ()
		local d = with "return true"
		local object = becomes(d, "pass")
		assert.is_true(object.ready)
		assert.is_true(object.checks.db.age >= 0 and object.checks.db.age < 5)
		d:stop()
	end)

	it("that says no takes readiness away, here and in status, until it passes", function ()
		local d = with [[
			local file = io.open(require "core.configmanager".get("*", "data_path") .. "/well")
			return file and file:close(), "no such file"
		]]
		local object = becomes(d, "fail", "no such file")
		assert.same({ false, true, "serving" }, { object.ready, object.live, object.status })
		local status, body, headers = admin_http.ask(d, "GET /readyz")
		assert.same({ 503, "serving\ncheck db: no such file\n", "1" },
			{ status, body, headers["retry-after"] })
		assert.equal(200, (admin_http.ask(d, "GET /livez")))
		assert.is_false(d:status().ready)
		require "spec.support.process".write_file(d.dir .. "/data/well", "")
		becomes(d, "pass")
		assert.is_true(d:status().ready)
		d:wait_log "check db passes again"
		d:stop()
	end)

	it("may return a promise", function ()
		local d = with [[return promise.new(function (resolve)
			timer.add_task(0.05, function () resolve(true) end)
		end)]]
		becomes(d, "pass")
		d:stop()
		d = with [[return promise.reject("not today")]]
		becomes(d, "fail", "not today")
		d:stop()
	end)

	it("may wait", function ()
		local d = with [[async.sleep(0.05) return true]]
		becomes(d, "pass")
		d:stop()
	end)

	it("that never settles is a failure after its timeout, and blocks no answer", function ()
		local d = with [[return promise.new(function () end)]]
		becomes(d, "fail", "^timeout$")
		for _ = 1, 20 do
			assert.equal(503, (admin_http.ask(d, "GET /readyz")))
			assert.equal(200, (admin_http.ask(d, "GET /livez")))
		end
		d:stop()
	end)

	it("that throws is a failure of one line", function ()
		local d = with [[error("on purpose\nand a second line")]]
		local object = becomes(d, "fail", "on purpose")
		assert.is_nil(object.checks.db.error:find("\n"))
		d:stop()
	end)

	it("that loops for ever gets an error, and the next answer comes", function ()
		local d = with([[while true do end]], "timeout = 20,",
			"callback_timeout = 0.3; slow_callback = 0.2")
		becomes(d, "fail", "callback_timeout")
		assert.equal(200, (admin_http.ask(d, "GET /livez")))
		d:stop()
	end)

	it("that loops for ever ends at its own timeout, also after it has waited", function ()
		for _, before in ipairs { "", "require 'util.async'.sleep(0.05)" } do
			local d = with(before .. " while true do end", "timeout = 0.4,", "callback_timeout = 60")
			becomes(d, "fail", "timeout")
			assert.equal(200, (admin_http.ask(d, "GET /livez")))
			assert.equal(0, #d:log_lines("callback_timeout"))
			d:stop()
		end
	end)

	it("that has not been run yet does not pass", function ()
		local d = with([[return promise.new(function () end)]], "timeout = 60,")
		local object, code = admin_http.health(d, "/readyz")
		assert.same({ 503, "pending" }, { code, object.checks.db.status })
		d:stop()
	end)

	it("runs only while the host serves", function ()
		local d = with [[module:log("info", "looks") return true]]
		becomes(d, "pass")
		d:run("drain")
		local n = #d:log_lines "looks"
		wait.sleep(0.7)
		assert.equal(n, #d:log_lines "looks")
		d:run("undrain")
		wait(function () return #d:log_lines "looks" > n end, 10, "a check after undrain")
		d:stop()
	end)

	it("has a reason of whole characters, however long", function ()
		local d = with [[return nil, "x" .. ("é"):rep(300)]]
		local object = becomes(d, "fail", "é")
		assert.is_truthy(utf8.len(object.checks.db.error))
		d:stop()
	end)

	it("goes with its module", function ()
		local d = with [[return nil, "broken"]]
		becomes(d, "fail")
		d:run("shell", "module", "unload", "checker")
		local object, code = admin_http.health(d, "/readyz")
		assert.same({ 200, nil }, { code, object.checks.db })
		d:stop()
	end)

	it("without a name or a function is left out, and the log says why", function ()
		local d = start { enable = { "checker" }, modules = { checker = [[
			module:add_item("health-check", { name = "", check = function () end })
			module:add_item("health-check", { name = "x" })
			module:add_item("health-check", { name = "y", timeout = -1, check = function () end })
			module:add_item("health-check", { name = "z", check = function () return true end })
			module:add_item("health-check", { name = "z", check = function () end })
		]] }, allow = { "left out" } }
		assert.equal(4, #d:log_lines "left out")
		wait(function () return admin_http.ask(d, "GET /readyz") == 200 end, 10, "readiness")
		d:stop()
	end)
end)
