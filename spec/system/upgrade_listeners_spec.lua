-- Listeners keep their identity over upgrades and back. tableflip's TestFdsListen,
-- TestFdsListener, TestFdsPacketConn, TestFdsRemoveUnixSocket and TestAddListener, each here on
-- real hosts and by the socket's inode.
local client <const> = require "spec.support.client"
local fcntl <const> = require "posix.fcntl"
local posix_socket <const> = require "posix.sys.socket"
local process <const> = require "spec.support.process"
local socket <const> = require "socket"
local stat <const> = require "posix.sys.stat"
local unistd <const> = require "posix.unistd"
local upgrade <const> = require "spec.support.upgrade"

-- Every kind of listener, each answers with the generation.
local places <const> = [[
	module:set_global()
	local server = require "net.server"
	local folder = module:get_option_string("witness_folder")
	local say = { onconnect = function (conn)
		conn:write(prosody.generation .. "\n")
		conn:close()
	end }
	module:provides("net", { name = "twice", default_ports = {}, listener = say,
		default_interface = "127.0.0.1" })
	module:provides("net", { name = "some", default_ports = {}, listener = say,
		default_interface = "127.0.0.1" })
	assert(server.listen(folder .. "/spec.sock", 0, say, {}))
	assert(server.listen("@" .. folder, 0, say, {}))
	local udp = assert(require "net.datagram".listen("127.0.0.1", 0, {
		onincoming = function (s, data, ip, port)
			s:sendto(prosody.generation .. " " .. data, ip, port)
		end }))
	local file = io.open(folder .. "/udp", "w")
	file:write(("%d"):format(udp:port()))
	file:close()
]]

describe("listeners over an upgrade", function ()
	after_each(upgrade.finish)

	local function start(more)
		return upgrade.start { modules = { places = places }, enable = { "places" }, config = more }
	end

	-- Ports of a service as the newest generation has them.
	local function ports(d, service)
		local list <const>, lines <const> = {}, d:log_lines("Activated service '" .. service .. "'")
		for port in lines[#lines]:gmatch "%]:(%d+)" do list[#list + 1] = math.tointeger(port) end
		return list
	end

	local function inode(port)
		local found
		for line in io.lines "/proc/net/tcp" do
			local hex, state, number = line:match
				"^ *%d+: %x+:(%x+) %x+:%x+ (%x+) %S+ %S+ %S+ +%d+ +%d+ (%d+)"
			if hex and tonumber(hex, 16) == port and state == "0A" then
				assert(not found, "two sockets listen on " .. port)
				found = number
			end
		end
		return found
	end

	local function who(where)
		local c = type(where) == "number" and client.tcp("127.0.0.1", where, 20)
			or type(where) == "string" and client.unix(where, 20)
		if not c then return nil end
		local line <const> = c:line()
		c:close()
		return tonumber(line)
	end

	it("are the same sockets: port 0, one address twice, Unix path, abstract", function ()
		local d <const> = start "twice_ports = { 0, 0 }"
		local path <const> = d.folder .. "/spec.sock"
		local before <const> = ports(d, "twice")
		local function look()
			return { inode(before[1]), inode(before[2]), inode(d.echo), inode(d.http),
				stat.stat(path).st_ino, ports(d, "twice") }
		end
		local first <const> = look()
		assert.equal(6, #first)
		for generation = 2, 4 do
			upgrade.up(d)
			assert.same(first, look())
			for _, where in ipairs { before[1], before[2], path, "@" .. d.folder } do
				assert.equal(generation, who(where))
			end
		end
		upgrade.stop(d)
		assert.is_nil(stat.stat(path))
	end)

	it("of datagrams lose none and answer none twice", function ()
		local d <const> = start()
		local udp <const> = socket.udp()
		local port <const> = tonumber(process.read_file(d.folder .. "/udp"))
		udp:settimeout(20)
		assert(udp:setpeername("127.0.0.1", port))
		local outcome <const> = upgrade.begin(d, "upgrade")
		local seen, number = {}, 0
		repeat
			number = number + 1
			udp:send(tostring(number))
			local generation, echoed = assert(udp:receive()):match "^(%d+) (%d+)$"
			assert.equal(tostring(number), echoed)
			seen[generation] = (seen[generation] or 0) + 1
		until seen["2"] and seen["2"] > 10 or number > 1e6
		assert.is_true((outcome()))
		assert.equal(tostring(port), process.read_file(d.folder .. "/udp"))
		udp:settimeout(0.2)
		assert.is_nil(udp:receive())
		udp:close()
		upgrade.stop(d)
	end)

	it("may come and go with the config, and come back with a rollback", function ()
		local dropped <const>, added <const> = client.free_port(), client.free_port()
		local config <const> = "upgrade_probation = 30; twice_ports = { 0 }\n"
		local d <const> = start(config .. ("some_ports = { %d }"):format(dropped))
		local socket_before <const> = inode(dropped)
		upgrade.reconfigure(d, ("some_ports = { %d }"):format(added))
		local outcome = upgrade.begin(d, "upgrade")
		d:wait_log("commit %-> probation", 20)
		upgrade.wait_generation(d, 2)
		assert.equal(2, who(added))
		assert.equal(1, who(dropped)) -- until it retires
		assert.is_true((upgrade.ask(d, "rollback")))
		outcome()
		assert.equal(1, who(dropped))
		assert.equal(socket_before, inode(dropped))
		d:wait_log("generation 2 has ended", 20)
		assert.is_nil(who(added))
		assert.is_nil(inode(added))
		-- once more, and to the end
		upgrade.reconfigure(d, ("upgrade_probation = 0; some_ports = { %d }"):format(added))
		upgrade.up(d)
		d:wait_log("generation 1 has ended", 20)
		assert.equal(3, who(added))
		assert.is_nil(who(dropped))
		upgrade.stop(d, 3)
	end)

	it("pass to a service of another name at the same address", function ()
		local port <const> = client.free_port()
		local d <const> = start(("twice_ports = { %d }"):format(port))
		local before <const> = inode(port)
		upgrade.reconfigure(d, ("twice_ports = {}; some_ports = { %d }"):format(port))
		upgrade.up(d)
		assert.equal(2, who(port))
		assert.equal(before, inode(port))
		upgrade.stop(d)
	end)

	it("that the service manager gave stay its own", function ()
		local fd = assert(posix_socket.socket(posix_socket.AF_INET, posix_socket.SOCK_STREAM, 0))
		assert(posix_socket.bind(fd,
			{ family = posix_socket.AF_INET, addr = "127.0.0.1", port = 0 }))
		assert(posix_socket.listen(fd, 16))
		local kept <const> = assert(fcntl.fcntl(fd, fcntl.F_DUPFD, 300))
		unistd.close(fd)
		local port <const> = posix_socket.getsockname(kept).port
		local before <const> = inode(port)
		local d <const> = upgrade.start { modules = { places = places }, enable = { "places" },
			config = ('some_ports = { %d }; some_interfaces = { "127.0.0.1" }'):format(port),
			wrap = { "lua5.4", "spec/support/listen_fds.lua", "", tostring(kept), "--" } }
		for generation = 2, 3 do
			upgrade.up(d)
			assert.equal(generation, who(port))
			assert.equal(before, inode(port))
		end
		upgrade.stop(d)
		assert.equal(before, inode(port))
		unistd.close(kept)
	end)
end)
