--- TLS contexts under the name and with the contract of Prosody 13's LuaSec adapter.
--
-- host.tls is required by what needs it: with it comes OpenSSL (host/base/late.h), and a process
-- that speaks no TLS is to do without.

local tls_luasec <const> = {
	--- What Prosody's core.certmanager asks for.
	features = {
		options = { no_ticket = true, no_compression = true, no_renegotiation = true,
			cipher_server_preference = true, no_tlsv1_2 = true, no_tlsv1_3 = true,
			single_dh_use = true, single_ecdh_use = true, ignore_unexpected_eof = true },
		capabilities = { alpn = true, curves_list = true, psk = false, dane = false },
		algorithms = { ec = true },
		protocols = { tlsv1_2 = true, tlsv1_3 = true },
		curves = {},
	},
	--- A certificate object from PEM text; nil and why.
	load_certificate = function (pem) return require "host.tls".load_certificate(pem) end,
}

local context <const> = {}
context.__index = context

local labels <const> = {
	certificate = "error loading certificate", key = "error loading private key",
	cafile = "error loading CA locations", capath = "error loading CA locations",
	ciphers = "error setting cipher list", ciphersuites = "error setting cipher list",
	protocol = "invalid protocol", curve = "unknown elliptic curve",
	dhparam = "error loading dhparam",
}

-- Sessions are resumed among contexts of one label only; without one it is what decides who is let
-- in, so that a session never opens a stricter door.
local function default_label(params)
	local parts <const> = { tostring(params.certificate), tostring(params.cafile),
		tostring(params.capath) }
	for _, field in ipairs { "verify", "verifyext" } do
		local words <const> = params[field]
		parts[#parts + 1] = type(words) == "table" and table.concat(words, " ") or tostring(words)
	end
	return table.concat(parts, "\n")
end

local function prepare(cfg)
	local params <const> = {}
	for key, value in pairs(cfg) do
		params[key] = value
	end
	if type(params.password) == "function" then
		params.password = params.password()
	end
	params.curveslist = params.curveslist or params.curve
	params.label = params.label or default_label(params)
	return params
end

--- A context from LuaSec's parameters.
-- @param cfg table: mode, certificate, key, password, protocol, options, ciphers, verify, …
-- @param builder what made cfg, for contexts of further names
-- @return context; or nil and LuaSec's words
function tls_luasec.new_context(cfg, builder)
	local found, host_tls = pcall(require, "host.tls")
	if not found then
		return nil, host_tls
	end
	local inner, err, field = host_tls.context(prepare(cfg))
	if not inner then
		return nil, ("%s (%s)"):format(labels[field] or "error in " .. field, err)
	end
	return setmetatable({ _inner = inner, _builder = builder, _sni_contexts = {} }, context)
end

--- Begins TLS on a connection of net.server.
-- @return the connection; or nil and why
function context:wrap(conn)
	local ok, err = conn:starttls(self)
	return ok and conn or nil, err
end

--- Gives a name its own certificate. "*.example.org" stands for every name with one label more.
-- @return true; or false and why: what was there before stays
function context:set_sni_host(host, cert, key)
	local ctx, err = self._builder:clone():apply { certificate = cert, key = key }:build()
	if not ctx then
		return false, err
	end
	self._sni_contexts[host] = ctx._inner
	return self._inner:sni(host, ctx._inner)
end

function context:remove_sni_host(host)
	self._sni_contexts[host] = nil
	self._inner:sni(host, nil)
end

return tls_luasec
