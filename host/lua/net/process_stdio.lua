--- The standard streams of a child process: what `stdin`, `stdout` and `stderr` of a spawn mean.

local host_net <const> = require "host.net"
local host_process <const> = require "host.process"
local logger <const> = require "util.logger"
local sys <const> = require "host.sys"

local process_stdio <const> = {}

local names <const> = { "stdin", "stdout", "stderr" }

-- Lines of a child in the log are cut here, so that one without an end costs no memory.
local longest_line <const> = 4096

-- A handle around our end; a silent child is no dead one, so there is no read timeout.
local function handle(fd, listeners)
	return host_net.adopt(fd, listeners, { pipe = true, class = "peer", read_timeout = math.huge })
end

local function pipe(set, index, listeners)
	local reading, writing, errno = host_process.pipe()
	if not reading then
		return nil, writing, errno
	end
	local own, theirs = reading, writing
	if index == 1 then
		own, theirs = writing, reading
	end
	set.own[names[index]] = { fd = own, listeners = listeners or {} }
	return theirs
end

-- Every line of the child is a line of the log.
local function log_listeners(set, index)
	local log <const> = logger.init(set.name)
	local level <const> = index == 3 and "warn" or "info"
	return {
		default_mode = "*l",
		onincoming = function (_, line) log(level, "%s", line) end,
		onlinetoolong = function () return true end,
	}
end

local function null(_, index)
	return host_process.open("/dev/null", index ~= 1)
end

-- word → function(set, index) → descriptor
local words <const> = {
	null = null,
	pipe = pipe,
	inherit = function (_, index) return sys.dup(index - 1) end,
	stdout = function (set, index)
		if index ~= 3 then
			error("net.process: only stderr may be \"stdout\"", 0)
		end
		return sys.dup(set.fds[2])
	end,
	log = function (set, index)
		if index == 1 then
			error("net.process: stdin cannot be \"log\"", 0)
		end
		return pipe(set, index, log_listeners(set, index))
	end,
}

local function open_one(set, index, value)
	if value == nil then
		return null(set, index)
	elseif type(value) == "table" and not value.getfd then
		return pipe(set, index, value)
	elseif type(value) == "string" and words[value] then
		return words[value](set, index)
	elseif type(value) == "string" and value:sub(1, 1) == "/" then
		return host_process.open(value, index ~= 1)
	elseif math.type(value) == "integer" then
		return sys.dup(value)
	elseif type(value) == "table" or type(value) == "userdata" then
		return sys.dup(value:getfd())
	end
	error(("net.process: %s: %s is neither \"null\", \"pipe\", \"inherit\", \"log\", a path that "
		.. "begins with /, a descriptor nor a table of listeners"):format(names[index],
		tostring(value)), 0)
end

--- Opens the three streams of a spawn.
-- @param opts its table
-- @param name of the child, for the log
-- @return set: fds (the child's three), own; or nil, message, errno
function process_stdio.open(opts, name)
	local set <const> = { fds = {}, own = {}, name = name }
	for index, stream in ipairs(names) do
		local ok, fd, err, errno = pcall(open_one, set, index, opts[stream])
		if not ok or not fd then
			process_stdio.close(set)
			if not ok then
				error(fd, 0)
			end
			return nil, ("%s: %s"):format(stream, tostring(err)), errno
		end
		set.fds[index] = fd
	end
	return set
end

--- Closes the child's ends, and ours where they have become no handles.
function process_stdio.close(set)
	for _, fd in pairs(set.fds) do
		sys.close(fd)
	end
	for _, own in pairs(set.own) do
		sys.close(own.fd)
	end
	set.fds, set.own = {}, {}
end

--- Which stream would be of no use without this host.
-- @return its name, or nil
function process_stdio.bound(set)
	for index, stream in ipairs(names) do
		if not host_process.outlives(set.fds[index]) then
			return stream
		end
	end
end

--- Makes handles of our ends, once the child lives; closes the child's.
-- @param object gets the fields stdin, stdout, stderr
function process_stdio.attach(set, object)
	for stream, own in pairs(set.own) do
		object[stream] = handle(own.fd, own.listeners)
		if own.listeners.default_mode then
			object[stream]:set_mode(own.listeners.default_mode, longest_line)
		end
	end
	set.own = {}
	process_stdio.close(set)
end

return process_stdio
