--- A host whose upgrades are to fail: its next program is what `FOLDER/next` points to.

local assert <const> = require "luassert"
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local stat <const> = require "posix.sys.stat"
local upgrade <const> = require "spec.support.upgrade"

local failing <const> = {}

-- Inodes of the sockets that listen at the TCP ports of its services.
local function listeners(d)
	local list <const> = {}
	for _, port in ipairs { d.http, d.echo } do
		for line in io.lines "/proc/net/tcp" do
			local hex <const>, number <const> = line:match
				"^ *%d+: %x+:(%x+) %x+:%x+ 0A %S+ %S+ %S+ +%d+ +%d+ (%d+)"
			if hex and tonumber(hex, 16) == port then list[#list + 1] = number end
		end
	end
	return list
end

-- What must not change: PID file, sockets with their inodes, who answers, the singleton.
local function snapshot(d)
	local function inode(name)
		local found <const> = stat.stat(d.dir .. "/run/" .. name)
		return found and found.st_ino
	end
	return { pid = process.read_file(d.dir .. "/run/gadwall.pid"),
		pidfile = inode "gadwall.pid", admin = inode "gadwall.sock", keeper = inode "keeper.sock",
		lock = inode "lock", listeners = listeners(d),
		generation = upgrade.generation(d), singletons = upgrade.singletons(d),
		state = d:state().state, active = d:state().generation }
end

--- A service that a spec may break.
failing.listens = [[
	module:set_global()
	module:provides("net", { name = "path", default_port = 0, listener = {
		onconnect = function (conn) conn:write("hello\n") end } })
]]

--- A host whose next program is what `FOLDER/next` points to.
function failing.start(spec)
	spec = spec or {}
	spec.folder = process.temp_dir()
	spec.config = ("upgrade_binary = %q\n"):format(spec.folder .. "/next") .. (spec.config or "")
	spec.env = { FAKE_REAL = daemon.binary() }
	for name, value in pairs(spec.more_env or {}) do spec.env[name] = value end
	spec.modules = { path = failing.listens }
	spec.enable = { "path" }
	local d <const> = upgrade.start(spec)
	d.next = d.folder .. "/next"
	return d
end

--- The upgrade fails with these words, nothing has changed, and the next one is good.
function failing.fails(d, words, singletons)
	local before <const> = snapshot(d)
	local ok, text = upgrade.ask(d, "upgrade")
	assert.is_false(ok, text)
	assert.matches(words, text)
	-- one that yielded has stopped its singleton and started it again
	before.singletons = before.singletons .. (singletons or "")
	local after <const> = snapshot(d)
	assert.same(before, after)
end

--- The next upgrade is good.
function failing.good(d)
	upgrade.link(daemon.binary(), d.next)
	local before <const> = upgrade.generation(d)
	upgrade.up(d)
	assert.is_true(upgrade.generation(d) > before)
end

return failing
