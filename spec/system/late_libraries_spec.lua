-- OpenSSL, c-ares, hiredis and libedit come when they are needed (host/base/late.h).

local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"

-- A build with LATE= has them from the begin.
local function is_late()
	local code, out = process.run { argv = { "readelf", "-d", daemon.binary() } }
	assert.equal(0, code)
	return not out:find("libcrypto", 1, true)
end

local function maps(pid)
	local text <const> = process.read_file(("/proc/%d/maps"):format(pid))
	local found <const> = {}
	for _, name in ipairs { "libcares", "libcrypto", "libedit", "libhiredis", "libssl" } do
		if text:find("/" .. name .. ".", 1, true) then
			found[#found + 1] = name
		end
	end
	return table.concat(found, " ")
end

local user <const> = [[
	module:hook("server-started", function () module:log("info", "started") end)
	module:add_item("shell-command", { section = "spec", name = "load", args = { "name" },
		handler = function (_, name) return true, tostring((pcall(require, name))) end })
]]

describe("libraries that come late", function ()
	after_each(daemon.finish_all)

	it("are not in a keeper, nor in a worker that has console, health and HTTP", function ()
		if not is_late() then return end
		local d <const> = daemon.start { modules = { user = user }, config = [[
			modules_enabled = { "admin_socket", "admin_shell", "health", "http", "user" }
			http_ports = { 0 }; https_ports = {}; interfaces = { "127.0.0.1" }
		]] }
		assert.equal(0, (d:run("status")))
		assert.equal("", maps(d.keeper_pid))
		assert.equal("", maps(d:worker_pid()))
		for name, library in pairs { ["net.adns"] = "libcares", ["net.redis"] = "libhiredis" } do
			assert.match("true", (select(2, d:console(("spec:load(%q)"):format(name)))))
			assert.match(library, maps(d:worker_pid()))
		end
		d:console 'spec:load("util.hashes")'
		assert.equal("libcares libcrypto libhiredis", maps(d:worker_pid()))
		assert.equal("", maps(d.keeper_pid))
	end)

	it("are not needed by an upgrade", function ()
		if not is_late() then return end
		local d <const> = daemon.start { config = [[ upgrade_probation = 0.2;
			modules_enabled = { "admin_socket", "admin_shell" } ]] }
		local before <const> = d:worker_pid()
		assert.equal("", maps(before))
		local code, out, err = d:run("upgrade")
		assert.equal(0, code, out .. err)
		assert.is_not.equal(before, d:worker_pid())
		assert.equal("", maps(d:worker_pid()))
		d:rebase_fds() -- the keeper keeps what a rollback would start
	end)
end)
