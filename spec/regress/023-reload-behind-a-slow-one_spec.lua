-- "`gadwall reload` behind a reload that took long was told that the keeper did not answer and that
-- the config in force stays, while its own config was being read and then came into force."

local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

local config <const> = [[
	modules_enabled = { "admin_socket", "admin_shell" }
]]

-- A reader that waits in its config: the child of the keeper that has one of its own.
local function reader_of(d)
	local parents <const> = {}
	for _, info in ipairs(d:children()) do parents[info.parent] = true end
	for _, info in ipairs(d:children()) do
		if info.parent == d.keeper_pid and parents[info.pid] then return info.pid end
	end
end

describe("regress: a reload behind a slow one", function ()
	after_each(daemon.finish_all)

	it("hears its own outcome", function ()
		local d <const> = daemon.start { config = config, fds = false, allow = { "A callback took" } }
		d:write_config(config .. 'Lua.os.execute "sleep 4"')
		d:signal("HUP")
		local reader <const> = wait.until_true(function () return reader_of(d) end, 20, "a reader")
		process.kill(reader, "STOP") -- the keeper kills it after 12 s
		local code <const>, out, err = process.run { timeout = 60,
			argv = { daemon.binary(), "--socket", d:socket_path(), "reload" } }
		assert.equal(0, code, out .. err)
		d:stop()
	end)
end)
