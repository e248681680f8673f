--- Children that survive, on disk: one file each in `runtime_path`/children, "pid start boot". A
-- process is known by its number, its start time and the boot it belongs to; a number alone is
-- anybody's.

local host_process <const> = require "host.process"
local log <const> = require "util.logger".init("process")
local places <const> = require "core.places"
local sys <const> = require "host.sys"

local registry <const> = {}

local function read(path)
	local file = io.open(path, "r")
	if not file then
		return nil
	end
	local text = file:read(256)
	file:close()
	return text
end

local function boot_id()
	return (read("/proc/sys/kernel/random/boot_id") or "?"):match("^%S+")
end

local function folder_of(runtime)
	local paths <const> = prosody.paths
	return (runtime or paths.user_runtime or paths.runtime or ".") .. "/children"
end

-- A name is no path.
local function file_of(name, runtime)
	return folder_of(runtime) .. "/" .. name:gsub("[^%w_.-]", function (c)
		return ("%%%02x"):format(c:byte())
	end):gsub("^%.", "%%2e")
end

--- A child that lives.
-- @param name of it
-- @param runtime optional folder of another host
-- @return { pid, pidfd } (the descriptor is the caller's), or nil
function registry.find(name, runtime)
	local text = read(file_of(name, runtime))
	local pid, started, boot = (text or ""):match("^(%d+) (%d+) (%S+)")
	if not pid or boot ~= boot_id() then
		return nil
	end
	pid = math.tointeger(tonumber(pid))
	-- In this order: what the descriptor stands for cannot change any more while it is looked at.
	local pidfd = sys.pidfd_open(pid)
	if pidfd and host_process.started(pid) == math.tointeger(tonumber(started)) then
		return { pid = pid, pidfd = pidfd }
	elseif pidfd then
		sys.close(pidfd)
	end
	return nil
end

--- Writes a child down.
-- @param child process of net.process
function registry.add(child)
	local started = host_process.started(child.pid)
	if not started then
		return
	end
	local path = file_of(child.name)
	local ok, err = places.make_folder(folder_of())
	if ok then
		ok, err = places.replace(path, ("%d %d %s\n"):format(child.pid, started, boot_id()))
	end
	if not ok then
		log("error", "%s cannot be written, so nobody will adopt %s: %s", path, child.name,
			tostring(err))
	end
end

--- Forgets a child that has ended, unless another one has its name by now.
function registry.remove(child)
	local path = file_of(child.name)
	if (read(path) or ""):match("^%d+") == tostring(child.pid) then
		os.remove(path)
	end
end

return registry
