--- Certificates and TLS contexts (Prosody's core.certmanager): which files a name or a service
-- uses, and what the options `ssl` and `certificates` say.

local cert_files <const> = require "core.cert_files"
local config <const> = require "core.configmanager"
local paths <const> = require "util.paths"
local sslconfig <const> = require "util.sslconfig"
local tls_luasec <const> = require "net.tls_luasec"

local certmanager <const> = {}

-- What holds unless the config says otherwise: ephemeral keys and authenticated ciphers only.
local defaults <const> = {
	capath = "/etc/ssl/certs", depth = 9, protocol = "tlsv1_2+", verify = "none",
	verifyext = { "lsec_continue", "lsec_ignore_purpose" },
	options = { "cipher_server_preference", "no_compression", "no_renegotiation" },
	curveslist = { "X25519", "P-256", "P-384", "P-521" },
	ciphers = { "ECDHE+AESGCM", "ECDHE+CHACHA20", "!aNULL" },
}

local index -- of the folder `certificates`, made when it is first needed

local function config_folder()
	local file <const> = prosody and prosody.config_file or config.files()[1]
	return file and paths.dirname(file) or "."
end

--- The folder of certificates, after the option `certificates`.
function certmanager.folder()
	return paths.resolve_relative_path(config_folder(), config.get("*", "certificates") or "certs")
end

local function indexed(name)
	if not index then
		local folder <const> = certmanager.folder()
		index = cert_files.is_folder(folder) and cert_files.index(folder) or {}
	end
	return cert_files.lookup(index, name)
end

--- Files for a name, below a folder or as written by a user.
-- @param place path of the config, or nil: the folder of certificates
-- @return { certificate, key }; or nil
function certmanager.find_cert(place, name)
	if type(place) == "table" then
		return place
	end
	local folder <const> = place and paths.resolve_relative_path(config_folder(), place)
		or certmanager.folder()
	return cert_files.find(folder, name)
end

--- Files for a host: its option `certificate`, a file of its name, a certificate that is for it,
-- then the same for what it is a part of.
function certmanager.find_host_cert(host)
	while host and host ~= "" do
		local found <const> = certmanager.find_cert(config.get(host, "certificate"), host)
			or indexed(host)
		if found then
			return found
		end
		host = host:match("%.(.+)$")
	end
end

--- Files for a service: SERVICE_certificate (a path, or by port), a file of its name, then what
-- the first of the hosts has.
function certmanager.find_service_cert(service, port)
	local written = config.get("*", service .. "_certificate")
	if type(written) == "table" then
		written = written[port] or written.default
	end
	local found = certmanager.find_cert(written, service)
	if found or written then
		return found
	end
	local hosts <const> = {}
	for host in pairs(prosody and prosody.hosts or {}) do
		hosts[#hosts + 1] = host
	end
	table.sort(hosts)
	for _, host in ipairs(hosts) do
		found = found or certmanager.find_host_cert(host)
	end
	return found or indexed("localhost")
end

local function automatic(host, mode)
	local service, port = host:match("^(%S+) port (%d+)$")
	if not service then
		return certmanager.find_host_cert(host)
	elseif mode == "server" or port ~= "0" then -- Prosody's clients write 0 and need none
		return certmanager.find_service_cert(service, tonumber(port))
	end
end

--- Who can and cannot read the file, where that is what went wrong.
local function explain(err, settings)
	for _, field in ipairs { "certificate", "key" } do
		local path <const> = settings[field]
		local file, why = io.open(path or "", "rb")
		if file then
			file:close()
		elseif path then
			return ("%s: %s"):format(field, why)
		end
	end
	local about_key <const> = err:find("private key", 1, true) and settings.key
	return ("%s: %s"):format(about_key or settings.certificate or settings.key or "ssl", err)
end

--- A TLS context. Later tables win; the option `ssl` comes before all of them.
-- @param host name of a host, or "SERVICE port NUMBER"
-- @param mode "server" or "client"
-- @param ... tables of settings, the strongest first; nil is left out
-- @return context, nil, settings in force; or nil, why, settings
function certmanager.create_context(host, mode, ...)
	local builder <const> = sslconfig._new(tls_luasec.new_context, config_folder())
	builder:apply(defaults):apply { mode = mode, label = host }
	builder:apply(automatic(host, mode))
	builder:apply(config.get("*", "ssl"))
	for i = select("#", ...), 1, -1 do
		builder:apply((select(i, ...)))
	end
	local settings <const> = builder:final()
	if mode == "server" and not (settings.certificate and settings.key) then
		return nil, ("no %s for %s in %s"):format(settings.certificate and "key" or "certificate",
			host, certmanager.folder()), settings
	end
	local ctx, err = builder:build()
	if not ctx then
		return nil, explain(err, settings), settings
	end
	return ctx, nil, settings
end

--- Forgets what was read from the disk; contexts that are made from now on use the new files.
function certmanager.reload_ssl_config()
	index = nil
end

return certmanager
