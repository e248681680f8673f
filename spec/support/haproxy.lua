--- Real HAProxys for specs, from .deps/peers: each in a folder of its own, asked over its stats
-- socket, ended by pid.

local client <const> = require "spec.support.client"
local glob <const> = require "posix.glob"
local process <const> = require "spec.support.process"
local stat <const> = require "posix.sys.stat"
local unistd <const> = require "posix.unistd"
local wait <const> = require "spec.support.wait"

local haproxy <const> = {}
local methods <const> = {}
local mt <const> = { __index = methods }
local running = {}

local peers <const> = unistd.getcwd() .. "/.deps/peers/usr"

--- Whether there is a haproxy here; else specs are pending("needs haproxy").
function haproxy.available()
	return stat.stat(peers .. "/sbin/haproxy") ~= nil
end

local function libraries()
	local found <const> = glob.glob(peers .. "/lib/*/liblua5.3.so*", 0)
	return found and found[1]:match("^(.*)/") or peers .. "/lib"
end

--- Asks over the stats socket.
---@param line string as "show servers state"
---@return string|nil answer; nil, why
function methods:ask(line)
	local c <close>, err = client.unix(self.socket, 5)
	if not c then return nil, err end
	assert(c:send(line .. "\n"))
	local lines <const> = {}
	for text in function () return c:line() end do lines[#lines + 1] = text end
	return table.concat(lines, "\n")
end

--- What it says of a server: "UP", "DOWN", "DRAIN", "MAINT", …
---@param backend string
---@param server string
function methods:server(backend, server)
	local names, found
	for line in (self:ask "show stat" or ""):gmatch("[^\n]+") do
		local fields <const> = {}
		for field in (line:gsub("^# ", "") .. ","):gmatch("([^,]*),") do fields[#fields + 1] = field end
		names = names or fields
		if fields[1] == backend and fields[2] == server then found = fields end
	end
	for i, name in ipairs(names or {}) do
		if name == "status" then return found and found[i] end
	end
end

--- Starts it and waits until its stats socket answers.
---@param config string sections below `global` and `defaults`; `ports` is how many free ones it may
--- use, as %d in order
---@param ports table|nil list of numbers for the %d
function haproxy.start(config, ports)
	local dir <const> = process.temp_dir()
	local self <const> = setmetatable({ dir = dir, socket = dir .. "/stats" }, mt)
	process.write_file(dir .. "/haproxy.cfg", ([[
global
	stats socket %s mode 600 level admin
	maxconn 200
	nbthread 1
defaults
	mode tcp
	timeout connect 5s
	timeout client 60s
	timeout server 60s
]]):format(self.socket) .. config:format(table.unpack(ports or {})))
	self.process = process.spawn { stdout = dir .. "/haproxy.log",
		argv = { peers .. "/sbin/haproxy", "-db", "-f", dir .. "/haproxy.cfg" },
		env = { LD_LIBRARY_PATH = libraries() } }
	running[#running + 1] = self
	wait.until_true(function () return self:ask "show info" end, 20, "haproxy to answer:\n"
		.. (process.read_file(dir .. "/haproxy.log") or ""))
	return self
end

--- For `after_each`.
function haproxy.finish_all()
	local list <const> = running
	running = {}
	for _, self in ipairs(list) do
		self.process:destroy()
		process.remove_tree(self.dir)
	end
end

return haproxy
