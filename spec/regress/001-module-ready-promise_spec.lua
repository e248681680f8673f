-- "Returns a promise from `module.ready`". It was called after READY, and
-- its promise was ignored.
local daemon <const> = require "spec.support.daemon"

local module_text <const> = [[
local promise = require "util.promise"
function module.ready()
	module:log("info", "readiness is held")
	return promise.new(function (resolve, reject)
		module:add_timer(0.3, function ()
			module:log("info", "readiness is released")
			if module:get_option_boolean("waiter_rejects") then
				reject("no database")
			else
				resolve()
			end
		end)
	end)
end
]]

local function index_of(lines, text)
	for i, line in ipairs(lines) do
		if line:find(text, 1, true) then
			return i
		end
	end
	error("not in the log: " .. text)
end

describe("a promise from module.ready", function ()
	after_each(daemon.finish_all)

	it("holds readiness until it is fulfilled", function ()
		local d <const> = daemon.start { config = [[modules_enabled = { "waiter" }]],
			modules = { waiter = module_text } }
		local lines <const> = d:log_lines()
		local held <const> = index_of(lines, "readiness is held")
		local released <const> = index_of(lines, "readiness is released")
		local ready <const> = index_of(lines, "starting -> serving")
		assert.is_true(held < released and released < ready)
		d:stop()
	end)

	it("is reported, and the start goes on, when it is rejected", function ()
		local d <const> = daemon.start { config = [[
			modules_enabled = { "waiter" }
			waiter_rejects = true]], modules = { waiter = module_text } }
		index_of(d:log_lines(), "module.ready of 'waiter' was rejected: no database")
		d:stop()
	end)
end)
