--- TLS of the HTTP client: the context of https, and whether a server is who it should be.

local certmanager <const> = require "core.certmanager"
local config <const> = require "core.configmanager"

local secure <const> = {}

local shared

local function build()
	local ssl <const> = config.get("*", "ssl") or {}
	return certmanager.create_context("client_https port 0", "client",
		config.get("*", "client_https_ssl"),
		{ capath = ssl.capath, cafile = ssl.cafile, verify = "peer" })
end

--- @param ex, options tables (or nil) that may have `sslctx`
-- @return a context for net.server; or nil and a reason
function secure.context(ex, options)
	local given <const> = ex and ex.sslctx or options and options.sslctx
	if given then
		return given
	end
	local err
	if not shared then
		shared, err = build()
	end
	return shared, err
end

--- @return true; or nil, "certificate-chain-invalid" or "certificate-verify-failed"
function secure.verify(conn, host)
	if not conn:ssl_peerverification() then
		return nil, "certificate-chain-invalid"
	end
	local cert <const> = conn:ssl_peercertificate()
	if not cert or not cert:matches(host) then
		return nil, "certificate-verify-failed"
	end
	return true
end

return secure
