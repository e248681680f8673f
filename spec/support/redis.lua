--- Real redis-servers for specs, from .deps/peers: each on a Unix socket in a folder of its own,
-- nothing on disk, ended by pid.
--
--	local redis <const> = require "spec.support.redis"
--	after_each(redis.finish_all)
--	local r = redis.start()
--	r:command("SET", "key", "value")

local client <const> = require "spec.support.client"
local glob <const> = require "posix.glob"
local host_redis <const> = require "host.redis"
local process <const> = require "spec.support.process"
local stat <const> = require "posix.sys.stat"
local unistd <const> = require "posix.unistd"
local wait <const> = require "spec.support.wait"

local redis <const> = {}
local methods <const> = {}
local mt <const> = { __index = methods }
local running = {}

local peers <const> = unistd.getcwd() .. "/.deps/peers/usr"

--- Whether there is a redis-server here; else specs are pending("needs redis-server").
function redis.available()
	return stat.stat(peers .. "/bin/redis-server") ~= nil
end

local function libraries()
	local found <const> = glob.glob(peers .. "/lib/*/liblzf.so*", 0)
	return found and found[1]:match("^(.*)/") or peers .. "/lib"
end

-- Nobody else's words: commands of a spec wait here, in the spec's own process.
local function exchange(self, args, seconds)
	local words <const> = { ("*%d\r\n"):format(#args) }
	for _, arg in ipairs(args) do
		words[#words + 1] = ("$%d\r\n%s\r\n"):format(#tostring(arg), tostring(arg))
	end
	local c <close>, err = client.unix(self.path, seconds or 5)
	if not c then return nil, err end
	assert(c:send(table.concat(words)))
	local reader <const> = host_redis.reader(1 << 24, 1 << 20)
	while true do
		local data, why = c:read(1, seconds)
		if not data then return nil, why end
		data, c.buffer = data .. c.buffer, ""
		local word, value = reader:next(data)
		if word == "reply" then return value end
		if word then return nil, value end
	end
end

--- Asks the server, waiting for the answer.
---@return any the reply (null is false), or nil and the error
function methods:command(...)
	return exchange(self, { ... })
end

--- Starts the program (again, after kill()), and waits until it answers.
function methods:run()
	unistd.unlink(self.path)
	self.process = process.spawn { argv = self.argv, stdout = self.dir .. "/redis.log",
		env = { LD_LIBRARY_PATH = libraries() } }
	wait.until_true(function ()
		local pong, err = exchange(self, { "PING" }, 1)
		return pong or err and err:find("^NOAUTH")
	end, 20, "redis-server to answer")
end

--- Sends it a signal ("KILL", "STOP", "CONT").
function methods:signal(name)
	self.process:signal(name)
end

--- Kills it and waits until it is gone.
function methods:kill()
	self.process:destroy()
end

--- Kills it for good and removes its folder.
function methods:finish()
	self.process:destroy()
	process.remove_tree(self.dir)
end

--- Starts a server.
---@param ... string more words of its command line, as "--requirepass", "secret"
---@return table server with `path`, the Unix socket
function redis.start(...)
	local dir <const> = process.temp_dir()
	local self <const> = setmetatable({ dir = dir, path = dir .. "/redis" }, mt)
	self.argv = { peers .. "/bin/redis-server", "--port", "0", "--unixsocket", self.path, "--save",
		"", "--appendonly", "no", "--dir", dir, "--daemonize", "no", ... }
	running[#running + 1] = self
	self:run()
	return self
end

--- For `after_each`.
function redis.finish_all()
	local list <const> = running
	running = {}
	for _, self in ipairs(list) do self:finish() end
end

return redis
