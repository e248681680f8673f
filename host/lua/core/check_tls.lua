--- TLS: files that can be read, keys that match their certificates, certificates in date, settings
-- that OpenSSL takes.

local certmanager <const> = require "core.certmanager"
local config <const> = require "core.configmanager"
local port_address <const> = require "core.port_address"

local check_tls <const> = {}

--- The option that a fault points at: the first of those that a section sets.
local function point(report, section, names, fault)
	for _, name in ipairs(names) do
		if config.rawget(section, name) ~= nil then
			return report.at(section, name, nil, fault)
		end
	end
	report.add(fault)
end

local function dated(settings)
	local file <close> = io.open(settings.certificate, "rb")
	local cert <const> = file and require "host.tls".load_certificate(file:read("a"))
	if not cert or cert:validat(os.time()) then
		return nil
	end
	return { code = "certificate-date", message = ("%s is valid from %s to %s only"):format(
		settings.certificate, cert:notbefore(), cert:notafter()) }
end

local function code_of(err)
	if err:find("key values mismatch", 1, true) or err:find("key type mismatch", 1, true) then
		return "key-mismatch"
	elseif err:find("No such file", 1, true) or err:find("ermission denied", 1, true) then
		return "unreadable-file"
	end
	return "wrong-tls"
end

--- Tries settings out; each pair of files is reported once.
local function try(report, seen, section, names, what, ...)
	local ctx, err, settings = certmanager.create_context(what, "server", ...)
	local key = tostring(settings.certificate) .. "\0" .. tostring(settings.key)
	if not settings.certificate and not settings.key or seen[key] then
		return -- nothing is configured: the service says so when it does not listen
	end
	seen[key] = true
	local fault = ctx and dated(settings)
		or not ctx and { code = code_of(err), message = ("TLS of %s: %s"):format(what, err) }
	if fault then
		point(report, section, names, fault)
	end
end

local function sorted_names(map)
	local names <const> = {}
	for name in pairs(map) do
		names[#names + 1] = tostring(name)
	end
	table.sort(names)
	return names
end

-- Interfaces and ports may have settings of their own.
local function each(value, fn)
	fn(value)
	for key, inner in pairs(value) do
		if type(inner) == "table" and (math.type(key) == "integer" or tostring(key):find("[%.:*]"))
		then
			fn(inner)
		end
	end
end

local function written(report, seen, section)
	for _, name in ipairs(sorted_names(report.state.origins[section])) do
		local value <const> = config.rawget(section, name)
		if (name == "ssl" or name:find("_ssl$")) and type(value) == "table" then
			each(value, function (settings)
				if settings.certificate or settings.key then
					try(report, seen, section, { name }, name, settings)
				end
			end)
		end
	end
end

--- Checks what the config says, then what enabled services and hosts will use.
function check_tls.run(report, modules)
	local seen <const> = {}
	certmanager.reload_ssl_config()
	for _, section in ipairs(sorted_names(report.state.origins)) do
		written(report, seen, section)
	end
	for _, name in ipairs(sorted_names(modules.services)) do
		local service <const> = modules.services[name]
		local own <const> = config.get("*", port_address.prefix(service) .. "ssl") or {}
		for _, address in ipairs(service.encryption and port_address.wanted(service) or {}) do
			try(report, seen, "*", { port_address.prefix(service) .. "ssl", name .. "_certificate", "ssl",
				"certificates", "modules_enabled" }, ("%s port %d"):format(name, address.port),
				own[address.interface], own[address.port], own)
		end
	end
	certmanager.reload_ssl_config()
end

return check_tls
