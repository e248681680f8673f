-- "The reason of a failed upgrade, cut in the middle of a character, or the bytes of a module's
-- error, made of `status --json` and of /readyz something that is no UTF-8, and so no JSON."

local admin_http <const> = require "spec.support.admin_http"
local daemon <const> = require "spec.support.daemon"
local upgrade <const> = require "spec.support.upgrade"
local wait <const> = require "spec.support.wait"

describe("regress: the bytes of an error", function ()
	after_each(daemon.finish_all)

	it("leave status --json UTF-8", function ()
		local d <const> = upgrade.start { fds = false, allow = { "mod_app", "upgrade %d: failed" } }
		for _, text in ipairs { ("é"):rep(400), "x" .. ("é"):rep(400) } do
			d:write_module("app", ("error(%q)"):format(text))
			assert.is_false(upgrade.ask(d, "upgrade"))
			d:wait_log("heard upgrade%-failed", 20)
			local code <const>, out = d:run("status", "--json")
			assert.equal(0, code)
			assert.is_truthy(utf8.len(out))
		end
		d:stop()
	end)

	it("leave /readyz UTF-8", function ()
		local d <const> = admin_http.start { enable = { "checker" }, modules = { checker = [[
			module:add_item("health-check", { name = "db", interval = 0.2,
				check = function () return nil, "a\xff\xfeb \xc3" end })
		]] }, allow = { "check db" } }
		wait(function ()
			local db <const> = admin_http.health(d, "/readyz").checks.db
			return db.status == "fail"
		end, 20, "the check")
		assert.equal("a\u{fffd}\u{fffd}b \u{fffd}", admin_http.health(d, "/readyz").checks.db.error)
		d:stop()
	end)
end)
