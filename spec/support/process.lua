--- Starting and watching real processes from a spec: fork and exec by luaposix, facts from /proc.

local dirent <const> = require "posix.dirent"
local fcntl <const> = require "posix.fcntl"
local posix_signal <const> = require "posix.signal"
local posix_wait <const> = require "posix.sys.wait"
local stdlib <const> = require "posix.stdlib"
local unistd <const> = require "posix.unistd"
local wait <const> = require "spec.support.wait"

local process <const> = {}
local methods <const> = {}
local mt <const> = { __index = methods }

--- Reads a whole file.
---@return string|nil
function process.read_file(path)
	local file = io.open(path, "rb")
	if not file then return nil end
	local text = file:read("a")
	file:close()
	return text
end

--- Writes a whole file; raises on failure.
function process.write_file(path, text)
	local file = assert(io.open(path, "wb"))
	assert(file:write(text))
	assert(file:close())
end

--- A folder of its own, under $TMPDIR or /tmp; short, because socket paths are.
---@return string path
function process.temp_dir()
	return assert(stdlib.mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/gw.XXXXXX"))
end

local function open_onto(path, flags, target)
	local fd = fcntl.open(path, flags, 384) -- 0600
	if not fd then unistd._exit(126) end
	unistd.dup2(fd, target)
end

-- Runs in the child, after fork; never returns.
local function become(spec)
	if spec.session then
		unistd.setpid("s")
	elseif spec.group ~= false then
		unistd.setpid("p", 0, 0)
	end
	if spec.stdin then
		unistd.dup2(spec.stdin, 0)
	else
		open_onto("/dev/null", fcntl.O_RDONLY, 0)
	end
	local append = fcntl.O_WRONLY | fcntl.O_CREAT | fcntl.O_APPEND
	open_onto(spec.stdout or "/dev/null", append, 1)
	if spec.stderr == nil or spec.stderr == spec.stdout then
		unistd.dup2(1, 2)
	elseif type(spec.stderr) == "number" then
		unistd.dup2(spec.stderr, 2)
	else
		open_onto(spec.stderr, append, 2)
	end
	for fd = 3, 255 do unistd.close(fd) end
	for name, value in pairs(spec.env or {}) do
		stdlib.setenv(name, value or nil)
	end
	if spec.cwd and unistd.chdir(spec.cwd) ~= 0 then unistd._exit(126) end
	local argv = table.move(spec.argv, 2, #spec.argv, 1, {})
	unistd.execp(spec.argv[1], argv)
	unistd._exit(127)
end

--- Starts a program.
---@param spec table argv (list), env (name to value, false removes), cwd, stdin (fd), stdout and
--- stderr (paths, appended to; stderr defaults to stdout, and may be an fd), group (false: stay in
--- our group), session (true: a session of its own)
---@return table process with `pid`
function process.spawn(spec)
	io.stdout:flush()
	io.stderr:flush()
	local pid = assert(unistd.fork())
	if pid == 0 then
		pcall(become, spec)
		unistd._exit(126)
	end
	return setmetatable({ pid = pid, argv = spec.argv }, mt)
end

--- The status if the process has ended: `{ exit = n }` or `{ signal = n }`; does not wait.
function methods:status()
	if self.ended then return self.ended end
	local pid, how, code = posix_wait.wait(self.pid, posix_wait.WNOHANG)
	if pid == nil then
		self.ended = { lost = true } -- somebody else reaped it
	elseif pid ~= 0 and how == "exited" then
		self.ended = { exit = code }
	elseif pid ~= 0 and how == "killed" then
		self.ended = { signal = code }
	end
	return self.ended
end

--- Waits for the end.
---@param seconds number|nil default 10
---@return integer|nil exit status (128 + n after signal n), or nil, "timeout"
function methods:wait_exit(seconds)
	local ended = wait.try(function() return self:status() end, seconds or 10)
	if not ended then return nil, "timeout" end
	return ended.exit or (ended.signal and 128 + ended.signal) or -1
end

local function signal_number(signal)
	if math.type(signal) == "integer" then return signal end
	return posix_signal["SIG" .. signal] or error("unknown signal " .. signal)
end

--- Sends a signal to the process, by name without SIG, or number.
function methods:signal(signal)
	return posix_signal.kill(self.pid, signal_number(signal)) == 0
end

--- Sends a signal to any process.
function process.kill(pid, signal)
	return posix_signal.kill(pid, signal_number(signal)) == 0
end

--- Kills the process and its group, and reaps it.
function methods:destroy()
	if self:status() then return end
	posix_signal.kill(-self.pid, posix_signal.SIGKILL)
	posix_signal.kill(self.pid, posix_signal.SIGKILL)
	self:wait_exit(5)
end

--- Runs a program to its end, with stdout and stderr kept apart.
---@param spec table as for `spawn`, plus input (string), timeout (seconds, default 20)
---@return integer exit status (128 + n after signal n)
---@return string stdout
---@return string stderr
function process.run(spec)
	local dir = process.temp_dir()
	process.write_file(dir .. "/in", spec.input or "")
	local fd = assert(fcntl.open(dir .. "/in", fcntl.O_RDONLY))
	local child = process.spawn {
		argv = spec.argv, env = spec.env, cwd = spec.cwd, stdin = fd,
		stdout = dir .. "/out", stderr = dir .. "/err",
	}
	unistd.close(fd)
	local code = child:wait_exit(spec.timeout or 20)
	if not code then child:destroy() end
	local out, err = process.read_file(dir .. "/out") or "", process.read_file(dir .. "/err") or ""
	process.remove_tree(dir)
	if not code then
		error(("%s did not end within %g s; it wrote: %s%s"):format(table.concat(spec.argv, " "),
			spec.timeout or 20, out, err), 2)
	end
	return code, out, err
end

--- Removes a folder that the spec made; refuses anything that is not below a temp folder.
function process.remove_tree(path)
	assert(path:find("/gw.", 1, true), "not a temp folder of ours: " .. path)
	process.spawn({ argv = { "rm", "-rf", "--", path } }):wait_exit(10)
end

-- Fields of /proc/PID/stat after the command name, which may itself hold spaces and brackets.
local function stat(pid)
	local text = process.read_file("/proc/" .. pid .. "/stat")
	local name, rest = (text or ""):match("^%d+ %((.*)%) (.*)$")
	if not rest then return nil end
	local fields = {}
	for field in rest:gmatch("%S+") do fields[#fields + 1] = field end
	return { pid = pid, name = name, state = fields[1], parent = tonumber(fields[2]),
		group = tonumber(fields[3]), session = tonumber(fields[4]), started = fields[20] }
end
process.stat = stat

--- True while this very process lives (a zombie does not count); `started` guards against reuse.
function process.alive(pid, started)
	local now = stat(pid)
	if not now or now.state == "Z" or now.state == "X" then return false end
	return started == nil or now.started == started
end

--- All descendants of a process.
---@return table list of { pid, name, state, parent, group, started }
function process.descendants(root)
	local by_parent = {}
	for entry in dirent.files("/proc") do
		local pid = tonumber(entry)
		local info = pid and stat(pid)
		if info then
			by_parent[info.parent] = by_parent[info.parent] or {}
			table.insert(by_parent[info.parent], info)
		end
	end
	local list, from = {}, { root }
	while #from > 0 do
		for _, info in ipairs(by_parent[table.remove(from)] or {}) do
			list[#list + 1] = info
			from[#from + 1] = info.pid
		end
	end
	table.sort(list, function(a, b) return a.pid < b.pid end)
	return list
end

--- Open descriptors of a process.
---@return table map of number to what it points at
---@return integer count
function process.fds(pid)
	local fds, count = {}, 0
	local ok, files = pcall(dirent.dir, "/proc/" .. pid .. "/fd")
	for _, name in ipairs(ok and files or {}) do
		local fd = tonumber(name)
		if fd then
			local target = unistd.readlink("/proc/" .. pid .. "/fd/" .. fd)
			if target then
				fds[fd], count = target, count + 1
			end
		end
	end
	return fds, count
end

return process
