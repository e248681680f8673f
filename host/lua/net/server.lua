--- net.server: Prosody's interface (epoll backend) over host.net. Handles are C objects, see
-- net/server_handle.lua.
-- @see doc/net.server.lua of Prosody for arguments

local host_loop <const> = require "host.loop"
local host_net <const> = require "host.net"
local log <const> = require "util.logger".init("net.server")
local server_client <const> = require "net.server_client"
local server_handle <const> = require "net.server_handle"
local server_listen <const> = require "net.server_listen"
local server_watch <const> = require "net.server_watch"
local signal <const> = require "util.signal"
local sslconfig <const> = require "util.sslconfig"
local timer <const> = require "util.timer"
local tls_luasec <const> = require "net.tls_luasec"

local server <const> = {}

local defaults <const> = { shutdown_deadline = 5 }
local settings = defaults

--- Replaces network_settings; keys that are missing go back to their defaults.
-- @param config table of Prosody's keys, and line_limit
function server.set_config(config)
	settings = setmetatable(config or {}, { __index = defaults })
	host_net.settings(settings)
end

--- @return "epoll": what callers of Prosody's interface may expect
function server.get_backend()
	return "epoll"
end

-- Listening --

server.listen = server_listen.listen
server.wrapserver = server_listen.wrapserver
server.gate = server_listen.gate
server.servers = server_listen.servers

--- Prosody's old form of listen.
function server.addserver(addr, port, listeners, read_size, tls_ctx)
	return server.listen(addr, port, listeners, {
		read_size = read_size, tls_ctx = tls_ctx, tls_direct = tls_ctx ~= nil,
	})
end

-- Connecting --

server.addclient = server_client.addclient
server.wrapclient = server_client.wrapclient

-- Descriptors of others --

server.watchfd = server_watch.watchfd
server.link = server_watch.link
server.event = server_watch.event
server.addevent = server_watch.addevent

-- Time and signals --

server.add_task = timer.add_task
server.timer = timer

--- Prosody 13: the callback gets the handle and the number.
-- @return handle with close(); or false or nil, error
function server.hook_signal(id, callback)
	local handle <const> = {}
	function handle:close()
		return signal.signal(id, nil)
	end
	local ok, err = signal.signal(id, callback and function (signo)
		return callback(handle, signo)
	end)
	if not ok then
		return ok, err
	end
	return handle
end

-- The connections --

local function wanted(handle, filter)
	return not filter or (not filter.class or handle:class() == filter.class)
		and (not filter.service or handle:service() == filter.service)
end

--- Every connection that is not closed.
-- @param filter optional table: class, service
-- @return list of handles
function server.handles(filter)
	local list <const> = {}
	for _, handle in ipairs(host_net.handles()) do
		if wanted(handle, filter) then
			list[#list + 1] = handle
		end
	end
	return list
end

--- The same as an iterator over handles.
function server.connections(filter)
	local list, i = server.handles(filter), 0
	return function ()
		i = i + 1
		return list[i]
	end
end

--- Closes the connections that match, after their output; see handles.
-- @return number of them
function server.close_connections(filter)
	local list <const> = server.handles(filter)
	for _, handle in ipairs(list) do
		handle:close()
	end
	return #list
end

--- Closes the listeners that match, in the order that loses nobody.
-- @param filter optional table: class, service
-- @param done optional function(), called when the last has closed
-- @return number of them
function server.close_servers(filter, done)
	local left = 0
	local function one_closed()
		left = left - 1
		if left == 0 and done then
			done()
		end
	end
	local list <const> = {}
	for _, handle in ipairs(host_net.servers()) do
		if wanted(handle, filter) then
			list[#list + 1] = handle
		end
	end
	left = #list
	for _, handle in ipairs(list) do
		handle:close_gracefully(one_closed)
	end
	if left == 0 and done then
		done()
	end
	return #list
end

--- Closes listeners and connections of one class.
function server.close_class(class)
	return server.close_servers { class = class }, server.close_connections { class = class }
end

--- Counts: connections, handshakes (of accepted ones), listeners, limits { limit, hits, last }.
server.stats = host_net.stats

--- max_connections, max_connections_per_ip, max_connection_rate_per_ip, max_handshakes,
-- limits_exempt.
-- @return true; or nil and what is wrong
server.set_limits = host_net.limits

--- Looks the functions of a listener table up again for connections that use it already.
server.refresh = host_net.refresh

-- The loop --

local quitting

--- Closes everything: connections after their output, listeners in order.
function server.closeall()
	server.close_connections()
	server.close_servers()
end

local function destroy_all()
	for _, handle in ipairs(host_net.handles()) do
		handle:destroy()
	end
	for _, handle in ipairs(host_net.servers()) do
		handle:close_now()
	end
end

--- true: closes everything, and loop returns once all is closed, after shutdown_deadline at
-- the latest.
-- false: takes it back as far as that goes.
function server.setquitting(quit)
	quitting = quit and {} or nil
	host_loop.leave(quit and true or false)
	if not quit then
		return
	end
	local this <const> = quitting
	server.closeall()
	timer.add_task(1, function ()
		if quitting == this then
			server.closeall()
			return 1
		end
	end)
	if settings.shutdown_deadline then
		timer.add_task(settings.shutdown_deadline, function ()
			if quitting == this then
				log("warn", "shutdown_deadline: %d connections are cut", #host_net.handles())
				destroy_all()
			end
		end)
	end
end

--- Runs the loop.
-- @param once true: one turn that does not wait
-- @return "quitting"; with `once` true, or nil, "timeout" if nothing happened
server.loop = host_loop.run

--- Collects TLS settings; see util.sslconfig.
-- @param basedir folder that relative paths are meant from
-- @return builder: apply(tbl), final(), build() → context or nil and why, clone()
function server.tls_builder(basedir)
	return sslconfig._new(tls_luasec.new_context, basedir)
end

server_handle.complete()

return server
