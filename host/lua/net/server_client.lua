--- The connecting half of net.server: addclient and wrapclient.

local host_datagram <const> = require "host.datagram"
local host_net <const> = require "host.net"
local pton <const> = require "util.net".pton
local server_listen <const> = require "net.server_listen"
local server_tls <const> = require "net.server_tls"

local client <const> = {}

-- Type of a socket to the family that it asks for.
local families <const> = {
	tcp = "any", tcp4 = "4", tcp6 = "6", udp = "any", udp4 = "4", udp6 = "6", unix = "any",
}

-- Why there can be no socket of this type to there.
local function misfit(typ, addr)
	local family <const> = families[typ]
	if not family then
		return "invalid socket type"
	elseif typ:find("^udp") and not pton(addr) then
		return "invalid-ip"
	elseif family ~= "any" and (family == "6") ~= (addr:find(":", 1, true) ~= nil) then
		return "address family for hostname not supported"
	end
end

local function datagram_fd(addr, port)
	local fd, err = host_datagram.open(addr, 0, false)
	if not fd then
		return nil, err
	end
	local connected, why = host_datagram.connect(fd, addr, port)
	if not connected then
		host_datagram.close(fd)
		return nil, why
	end
	return fd
end

local function client_opts(read_size, tls_ctx, extra)
	local opts <const> = {
		read_size = read_size, class = extra and extra.class,
		read_timeout = extra and extra.read_timeout, servername = extra and extra.servername,
	}
	if tls_ctx then
		local err
		opts.tls, err = server_tls.inner(tls_ctx, "client")
		if not opts.tls then
			return nil, err
		end
	end
	return opts
end

local function finish_client(handle, tls_ctx, extra)
	if extra then
		handle.extra = extra
		handle.servername = extra.servername
	end
	if tls_ctx then
		handle._sslctx = tls_ctx
	end
	return handle, handle:socket()
end

--- Begins to connect; a refusal comes as ondisconnect(conn, "connection refused"), without
-- onconnect.
-- @param addr IP literal, Unix path or "@abstract"
-- @param typ nil, "tcp", "tcp4", "tcp6", "udp", "udp4", "udp6", "unix"
-- @param extra table: servername; class ("client", "peer", "admin"), read_timeout
-- @return handle and its socket; or nil and "invalid-ip", "invalid socket type" or the
-- socket's error
function client.addclient(addr, port, listeners, read_size, tls_ctx, typ, extra)
	local why <const> = typ and misfit(typ, addr)
	if why then
		return nil, why
	end
	port = tonumber(port) or 0
	if typ and typ:find("^udp") then
		local fd, fd_err = datagram_fd(addr, port)
		if not fd then
			return nil, fd_err
		end
		return client.wrapclient(fd, addr, port, listeners, read_size, nil, extra)
	end
	local opts, tls_err = client_opts(read_size, tls_ctx, extra)
	if not opts then
		return nil, tls_err
	end
	local handle, err, errno = host_net.connect(addr, port, listeners, opts)
	if not handle then
		return nil, errno == server_listen.EINVAL and "invalid-ip" or err
	end
	return finish_client(handle, tls_ctx, extra)
end

-- The object of a datagram socket is closed when the handle is.
local function close_with(handle, object)
	for _, name in ipairs { "close", "destroy" } do
		handle[name] = function (self)
			self[name] = nil
			object:close()
			return self[name](self)
		end
	end
end

--- A handle for a socket that exists: onconnect is called when it is writable.
-- @param socket descriptor (becomes ours), or object with getfd and close: it is closed and its
-- socket lives on, but for UDP, where Prosody's net.adns goes on to send through the object
-- @return handle and its socket; or nil, error
function client.wrapclient(socket, ip, port, listeners, read_size, tls_ctx, extra)
	local opts, err = client_opts(read_size, tls_ctx, extra)
	if not opts then
		return nil, err
	end
	local fd
	local stays <const> = tostring(socket):find("^udp") ~= nil
	fd, err = server_listen.take_fd(socket, stays)
	if not fd then
		return nil, err
	end
	opts.ip, opts.port = ip, tonumber(port) or 0
	local handle
	handle, err = host_net.adopt(fd, listeners, opts)
	if not handle then
		return nil, err
	end
	if stays then
		close_with(handle, socket)
	end
	return finish_client(handle, tls_ctx, extra)
end

return client
