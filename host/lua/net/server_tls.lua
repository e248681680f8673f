--- TLS on handles: what Prosody's methods and LuaSec's socket offer, over host.tls.

local tls_luasec <const> = require "net.tls_luasec"

local server_tls <const> = {}

--- The C context behind what callers pass: a context of net.tls_luasec, the C context itself, or a
-- table of LuaSec's parameters (Prosody 0.12).
-- @param mode for a table that names none
-- @return C context; or nil and why
function server_tls.inner(ctx, mode)
	if type(ctx) ~= "table" then
		return ctx
	elseif ctx._inner then
		return ctx._inner
	end
	local params <const> = { mode = mode }
	for key, value in pairs(ctx) do
		params[key] = value
	end
	local made, err = tls_luasec.new_context(params)
	return made and made._inner, err
end

--- Whether a listener's config has what its TLS needs.
-- @return true; or nil and why
function server_tls.check(config)
	if not config.tls_direct then
		return true
	elseif not config.tls_ctx then
		return nil, "tls context missing"
	end
	local inner, err = server_tls.inner(config.tls_ctx, "server")
	return inner and true, err
end

local function add_hosts(ctx, hosts)
	for name, other in pairs(hosts) do
		local inner = server_tls.inner(other, "server")
		if inner then
			ctx:sni(name, inner)
		end
	end
end

--- Puts a listener's context and names in place (config: tls_ctx, tls_direct, sni_hosts).
function server_tls.serve(handle, config)
	handle.hosts = config.sni_hosts
	handle._tls_direct = config.tls_direct or false
	if config.tls_ctx then
		handle:set_sslctx(config.tls_ctx)
	end
end

-- "TLS_AES_128_GCM_SHA256 TLSv1.3 Kx=any Au=any Enc=AESGCM(128) Mac=AEAD" in LuaSec's fields.
local function info(conn, field)
	local parts, err = conn:ssl_parts()
	if not parts then
		return nil, err
	end
	local text <const> = parts.description
	local all <const> = {
		bits = parts.bits, algbits = parts.algbits, protocol = parts.protocol,
		curve = parts.curve, resumed = parts.resumed, export = false,
		cipher = text:match("^(%S+)"), key = text:match("Kx=(%S+)"),
		authentication = text:match("Au=(%S+)"), encryption = text:match("Enc=(%S+)"),
		mac = text:match("Mac=(%S+)"),
	}
	if field then
		return all[field]
	end
	return all
end

local conn_methods <const> = {}

--- Begins TLS once all output has gone; what the peer sent before that is dropped together with
-- the connection. Called as conn:starttls(ctx); that field is false where there is TLS already.
-- @param ctx context (default: that of the listener); a connection that we made is its client
-- @return true; or nil and why
function conn_methods:begin_tls(ctx)
	ctx = ctx or self._sslctx or self:server()._sslctx
	if not ctx then
		return nil, "tls context missing"
	end
	local inner, err = server_tls.inner(ctx, self:server() == self and "client" or "server")
	if not inner then
		return nil, err
	end
	self._sslctx = ctx
	self.starttls = false
	return self:tls_start(inner, self.servername)
end

--- The context that TLS runs or will run with.
function conn_methods:sslctx()
	return self._sslctx or self:ssl() and self:server()._sslctx or nil
end

function conn_methods:set_sslctx(ctx)
	self._sslctx = ctx
end

--- LuaSec's table: bits, algbits, protocol, cipher, key, authentication, encryption, mac, curve.
function conn_methods:ssl_info(field)
	return info(self, field)
end

local listening_methods <const> = {}

--- The context of those who come from now on; handshakes that have begun keep theirs.
function listening_methods:set_sslctx(ctx)
	self._sslctx = ctx
	if not self._tls_direct then
		return
	end
	local inner = ctx and server_tls.inner(ctx, "server")
	if inner and self.hosts then
		add_hosts(inner, self.hosts)
	end
	self:set_tls(inner)
end

function listening_methods:sslctx()
	return self._sslctx
end

function listening_methods:ssl()
	return self._tls_direct or nil
end

-- Methods of LuaSec's socket, by the connection's.
local socket_names <const> = {
	info = "ssl_info", getpeercertificate = "ssl_peercertificate",
	getpeerverification = "ssl_peerverification", getpeerfinished = "ssl_peerfinished",
	getfinished = "ssl_finished", getalpn = "ssl_alpn", getsniname = "ssl_sniname",
	exportkeyingmaterial = "ssl_exportkeyingmaterial",
}

--- Adds the methods to the tables of connections, listeners and sockets.
function server_tls.complete(conn, listening, socket)
	for name, fn in pairs(conn_methods) do
		conn[name] = fn
	end
	for name, fn in pairs(listening_methods) do
		listening[name] = fn
	end
	for name, method in pairs(socket_names) do
		socket[name] = function (self, ...)
			return self.handle[method](self.handle, ...)
		end
	end
end

return server_tls
