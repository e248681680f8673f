--- TLS of the listeners of services: their contexts, the names behind them, new certificates.

local certmanager <const> = require "core.certmanager"
local config <const> = require "core.configmanager"
local log <const> = require "util.logger".init("portmanager")
local port_address <const> = require "core.port_address"

local port_tls <const> = {}

-- The certificates of hosts, each under its name; a service's own stays for those without a name.
local function add_hosts(ctx, service)
	for host in pairs(prosody.hosts or {}) do
		local found <const> = certmanager.find_host_cert(host)
		if found and host:find(".", 1, true) then
			local ok, err = ctx:set_sni_host(host, found.certificate, found.key)
			if not ok then
				log("error", "Service '%s' has no TLS for %s: %s", service.name, host, err)
			end
		end
	end
end

--- A context for an address of a service, after `ssl`, `SERVICE_ssl` and the provider's
-- ssl_config; each may be indexed by interface or port.
-- @return context, nil, settings; or nil and why
function port_tls.context(service, interface, port)
	local common <const> = config.get("*", "ssl") or {}
	local own <const> = config.get("*", port_address.prefix(service) .. "ssl") or {}
	local ctx, err, settings = certmanager.create_context(
		("%s port %d"):format(service.name, port or 0), "server",
		own[interface], own[port], own, service.ssl_config, common[interface], common[port])
	if not ctx then
		return nil, err
	end
	add_hosts(ctx, service)
	return ctx, nil, settings
end

--- What listen needs for a service (nothing if it is plain).
-- @return true; or nil and why
function port_tls.settings(service, address, opts)
	local direct <const> = service.encryption == "ssl"
	if not direct and service.encryption ~= "starttls" then
		return true
	end
	local ctx, err, settings = port_tls.context(service, address.interface, address.port)
	if not ctx and direct then
		return nil, err
	elseif not ctx then
		log("warn", "Service '%s' goes without STARTTLS: %s", service.name, err)
	end
	opts.tls_ctx, opts.tls_direct, opts.tls_cfg = ctx, direct, settings
	return true
end

--- Gives a listener a context from what the config and the files say now. What is wrong leaves
-- the old one in force.
function port_tls.renew(listener)
	local service <const> = listener.service
	if service.encryption ~= "ssl" and service.encryption ~= "starttls" then
		return
	end
	local ctx, err, settings = port_tls.context(service, listener.interface,
		listener.address.port)
	if not ctx then
		log("error", "Service '%s' keeps its TLS settings: %s", service.name, err)
		return
	end
	listener.server:set_sslctx(ctx)
	listener.tls_cfg = settings
end

return port_tls
