-- A worker that had no descriptor left took a reload for the end of its keeper: the bundle comes
-- with two. The keeper refused the orphan, whose place was taken, and it finished with all that it
-- served when orphan_timeout was over.

local daemon <const> = require "spec.support.daemon"

local hog <const> = [[
	module:set_global()
	local held = {}
	module:hook("spec-hog", function ()
		for i = 1, 5000 do
			held[i] = io.open "/dev/null"
			if not held[i] then return i end
		end
	end)
	module:hook("spec-free", function ()
		for _, file in ipairs(held) do file:close() end
		held = {}
	end)
]]

describe("regress: a reload in a worker without descriptors", function ()
	after_each(daemon.finish_all)

	it("is refused there with the reason, and the next one works", function ()
		local config <const> = 'modules_enabled = { "admin_socket", "admin_shell", "hog" }\n'
		local d <const> = daemon.start { config = config, fds = false, modules = { hog = hog },
			allow = { "too many open files", "Too many open files" },
			wrap = { "sh", "-c", 'ulimit -n 700 && exec "$@"', "sh" } }
		local console <const> = d:connect(d:socket_path(), 60)
		local function ask(line, answer)
			console:send(line .. "\n")
			assert.matches(answer, (console:expect "^%u%a+: "))
		end
		ask('> prosody.events.fire_event "spec-hog"', "^Result: %d+")
		ask("config reload", "^Error: cannot reload: its bundle cannot be read: Too many open files")
		ask('> prosody.events.fire_event "spec-free"', "^OK")
		d:write_config(config .. "spec_new = 1\n")
		ask("config reload", "^OK: config reloaded; changed: spec_new")
		d:stop()
	end)
end)
