--- Signals, with Prosody's names (util.signal).
--
-- In a worker the signals that operators send come over the keeper: then a handler is only kept
-- here, and who routes them (core.verbs) asks for it. Everywhere else, and for all other signals, a
-- handler is installed in this process.

local info <const> = require "host.info"
local signals <const> = require "host.signals"

local signal <const> = {}

for name, number in pairs(signals.numbers) do
	signal[name] = number
end

local handlers <const> = {}
local router

local of_the_keeper <const> = {
	[signal.SIGHUP] = true, [signal.SIGINT] = true, [signal.SIGQUIT] = true,
	[signal.SIGTERM] = true, [signal.SIGUSR1] = true, [signal.SIGUSR2] = true,
}

local function is_routed(number)
	return of_the_keeper[number] and (router ~= nil or info.role == "worker")
end

local function number_of(id)
	if type(id) == "string" then
		id = signal[id:upper()]
	end
	return math.type(id) == "integer" and id or nil
end

local function install(number, handler)
	if is_routed(number) then
		if router then
			router(number, handler)
		end
		return true
	end
	return signals.watch(number, handler and function (signo, sender)
		return handler(signo, sender)
	end)
end

--- Sets the handler of a signal, in the place of what it does by default.
-- @param id number, or name ("SIGUSR1", "sigusr1")
-- @param handler function(number, sender's pid), called from the loop; nil or "default" removes it,
-- "ignore" does nothing when it comes
-- @return true; or false, "invalid-signal"; or nil and the system's words
function signal.signal(id, handler)
	local number = number_of(id)
	if not number then
		return false, "invalid-signal"
	end
	if handler == "default" then
		handler = nil
	elseif handler == "ignore" then
		handler = function () end
	elseif handler ~= nil and type(handler) ~= "function" then
		return false, "invalid-handler"
	end
	local ok, err, errno = install(number, handler)
	if ok then
		handlers[number] = handler
	end
	return ok, err, errno
end

--- The handler of a signal.
-- @param number of the signal
-- @return function, or nil
function signal.handler(number)
	return handlers[number]
end

--- Sends a signal to this process.
-- @return true; or nil, error
function signal.raise(id)
	local number = number_of(id)
	if not number then
		return false, "invalid-signal"
	end
	return signals.raise(number)
end

--- Sends a signal to a process.
-- @param pid process, or a negative process group
-- @return true; or nil, error
function signal.kill(pid, id)
	local number = number_of(id)
	if not number then
		return false, "invalid-signal"
	end
	return signals.kill(pid, number)
end

local fd_methods <const> = {}
local fd_mt <const> = { __index = fd_methods }

--- The descriptor, readable when the signal has come.
function fd_methods:getfd()
	return self.fd
end

--- @return number of the signal, or nil if none has come
function fd_methods:read()
	return signals.read_fd(self.fd)
end

--- Closes it; the signal stays blocked.
function fd_methods:close()
	if self.fd >= 0 then
		require "host.net".close(self.fd)
		self.fd = -1
	end
end

--- A descriptor that turns readable at a signal, which is blocked from now on (Prosody 13).
-- @return object with getfd, read, close; or nil, error
function signal.signalfd(id)
	local number = number_of(id)
	if not number then
		return nil, "invalid-signal"
	end
	local fd, err, errno = signals.open_fd(number)
	if not fd then
		return nil, err, errno
	end
	return setmetatable({ fd = fd }, fd_mt)
end

--- Names who routes the keeper's signals; handlers set so far are told to it.
-- @param fn function(number, handler or nil), called at each change; nil: nobody
function signal._set_router(fn)
	for number in pairs(handlers) do
		if of_the_keeper[number] and not is_routed(number) and fn then
			signals.watch(number, nil)
		end
	end
	router = fn
	for number, handler in pairs(handlers) do
		if of_the_keeper[number] then
			install(number, handler)
		end
	end
end

return signal
