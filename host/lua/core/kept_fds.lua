--- Descriptors that modules keep over an upgrade, and over the death of a worker
-- (`module:keep_fd`): pipes, timers, memfds, connected sockets. The keeper holds a dup under the
-- module's name; whoever is started next gets it and may ask for it. What a new generation has not
-- asked for when it is ready stays the older one's, and closes with it.

local check <const> = require "core.arguments".check
local short <const> = require "core.port_address".short

local kept_fds <const> = {}

local PREFIX <const> = "keep=/" -- as in proc/ipc.h

local function keeper()
	local ok, found = pcall(require, "host.keeper")
	return ok and type(found) == "table" and found.hello and found or nil
end

-- Printable, and without ':' (it is also a systemd FDNAME).
local function full_name(module, name)
	local text <const> = ("%s/%s/%s"):format(module.host or "*", module.name, name)
	return short(PREFIX .. text:gsub("[^%w%.%-_@*/]", function (c)
		return ("%%%02x"):format(c:byte())
	end))
end

--- Keeps a descriptor; the module's own stays open and its own.
-- @param module its api
-- @param name unique in the module
-- @param fd descriptor, or nil: let go of what was kept under the name
-- @return true; or nil and why not ("no-keeper": nothing stands behind this process)
function kept_fds.keep(module, name, fd)
	check("keep_fd", 1, name, "string")
	check("keep_fd", 2, fd, "number", true)
	local held_by <const> = keeper()
	if not held_by then
		return nil, "no-keeper"
	elseif fd == nil then
		return held_by.unhold(full_name(module, name))
	end
	return held_by.keep(full_name(module, name), fd)
end

--- What was kept under a name, by this module in an older generation or in a worker that died.
-- @return descriptor, the caller's from now on (it is kept on); or nil: there is none
function kept_fds.take(module, name)
	local held_by <const> = keeper()
	return held_by and held_by.take(full_name(module, name)) or nil
end

return kept_fds
