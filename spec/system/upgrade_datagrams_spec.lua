-- Datagrams under load over upgrades and a rollback, counted by the client; and the same sockets
-- throughout, by inode.
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local stat <const> = require "posix.sys.stat"
local upgrade <const> = require "spec.support.upgrade"
local wait <const> = require "spec.support.wait"

local module <const> = [[
	module:set_global()
	local server, folder = require "net.server", module:get_option_string("witness_folder")
	local none = { onconnect = function (conn) conn:close() end }
	assert(server.listen(folder .. "/spec.sock", 0, none, {}))
	assert(server.listen("@" .. folder, 0, none, {}))
	for _, name in ipairs { "one", "two" } do
		local udp = assert(require "net.datagram".listen("127.0.0.1", 0, {
			onincoming = function (s, data, ip, port)
				s:sendto(prosody.generation .. " " .. data, ip, port)
			end }))
		local file <close> = io.open(folder .. "/" .. name, "w")
		file:write(("%d"):format(udp:port()))
	end
]]

-- Inode of a socket in a table of /proc/net.
local function inode(name, pattern)
	for line in io.lines("/proc/net/" .. name) do
		local found <const> = line:match(pattern)
		if found then return found end
	end
end

describe("over upgrades and a rollback", function ()
	after_each(upgrade.finish)

	local function start()
		local d <const> = upgrade.start { modules = { places = module }, enable = { "places" } }
		local function port(name) return tonumber(process.read_file(d.folder .. "/" .. name)) end
		return d, port
	end

	local function walk(d)
		for _ = 1, 3 do upgrade.up(d) end
		-- taken back in probation, and again when the older one is gone
		upgrade.reconfigure(d, "upgrade_probation = 30")
		local outcome <const> = upgrade.begin(d, "upgrade")
		d:wait_log("upgrade 4: commit %-> probation", 30)
		assert.is_true((upgrade.ask(d, "rollback")))
		outcome()
		upgrade.wait_alone(d)
		upgrade.up(d, "rollback")
	end

	it("no datagram is lost and none is answered twice", function ()
		local d <const>, port <const> = start()
		local out <const> = d.folder .. "/out"
		local load <const> = process.spawn { stdout = out, argv = { daemon.binary(), "lua",
			"spec/support/datagram_load.lua", tostring(port "one"), tostring(port "two"), "90" } }
		walk(d)
		load:signal "TERM"
		assert.equal(0, load:wait_exit(60))
		local text <const> = process.read_file(out)
		print("datagrams: " .. text)
		local sent <const>, answered <const>, open <const>, twice <const>, generations <const> =
			text:match "sent=(%d+) answered=(%d+) open=(%d+) twice=(%d+) generations=(%d+)"
		assert.same({ sent, "0", "0" }, { answered, open, twice }, text)
		assert.is_true(tonumber(generations) >= 4, text)
		upgrade.stop(d)
	end)

	it("every socket is the one that it was", function ()
		local d <const>, port <const> = start()
		local function look()
			local list <const> = { stat.stat(d.folder .. "/spec.sock").st_ino,
				inode("unix", "(%d+) @" .. d.folder:gsub("%p", "%%%0") .. "$"),
				port "one", port "two" }
			for _, name in ipairs { "one", "two" } do
				list[#list + 1] = inode("udp", ("^ *%%d+: %%x+:%04X .* (%%d+) %%d+ %%x+ %%d+ *$"):format(
					port(name)))
			end
			for _, number in ipairs { d.http, d.echo } do
				list[#list + 1] = inode("tcp",
					("^ *%%d+: %%x+:%04X %%x+:%%x+ 0A %%S+ %%S+ %%S+ +%%d+ +%%d+ (%%d+)"):format(number))
			end
			return list
		end
		local before <const> = look()
		assert.equal(8, #before)
		walk(d)
		assert.same(before, look())
		wait.until_true(function () return upgrade.generation(d) ~= nil end, 20, "an answer")
		upgrade.stop(d)
	end)
end)
