--- Who may run singletons: the exclusive lock on RUNTIME/active, held by one worker of the active
-- generation (core/active_worker.lua) from before its first singleton until after its last. The
-- file holds the generation's number, so it is the commit record too: what the kernel says of it
-- stays true through SIGKILL, SIGSTOP and the loss of the keeper.

local async <const> = require "util.async"
local host_lock <const> = require "host.lock"
local log <const> = require "util.logger".init("lifecycle")
local time <const> = require "util.time"

local active_lock <const> = {}

local NAME <const> = "/active"
-- A holder that was told to let go does so within milliseconds (s).
local retry_every <const> = 0.02

local held -- descriptor while this process holds it

local function path()
	return prosody.paths.runtime .. NAME
end

--- Whether this process holds it.
function active_lock.held()
	return held ~= nil
end

local function try()
	return host_lock.take(path(), tostring(prosody.generation or 0))
end

-- One try, and more until the deadline where waiting is possible.
local function try_until(deadline)
	local fd, err = try()
	while err == "held" and time.monotonic() < deadline do
		async.sleep(retry_every)
		fd, err = try()
	end
	return fd, err
end

--- Takes it, and writes our generation's number into the file.
-- @param seconds in a runner (util.async) waits so long for whoever holds it; elsewhere, or
--   without it, one try
-- @return true; or nil, "held" and the holder's generation; or nil and what is wrong with the file
function active_lock.take(seconds)
	if held then
		return true
	end
	local err
	held, err = try_until(time.monotonic() + (async.ready() and seconds or 0))
	if not held then
		return nil, err, err == "held" and active_lock.holder() or nil
	end
	log("debug", "generation %s is the active one", tostring(prosody.generation))
	return true
end

--- Lets it go; harmless if we do not have it. Only after the last singleton has stopped.
-- @return whether we had it
function active_lock.release()
	if not held then
		return false
	end
	host_lock.release(held)
	held = nil
	return true
end

--- Who holds it now.
-- @return number of the generation; or nil, "free"; or nil and what is wrong with the file
function active_lock.holder()
	local text, err = host_lock.holder(path())
	if not text then
		return nil, err
	end
	return math.tointeger(tonumber(text)) or 0
end

return active_lock
