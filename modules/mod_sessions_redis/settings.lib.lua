-- What the config says of the store, as options of net.redis.

local certmanager <const> = require "core.certmanager"
local config <const> = require "core.configmanager"
local paths <const> = require "util.paths"
local secret_file <const> = require "core.secret_file"

local kinds <const> = { host = "string", port = "number", path = "string", username = "string",
	password_file = "string", database = "number", tls = "any" }

local function check(wanted)
	if type(wanted) ~= "table" then
		error("redis: a table is needed, as { host = \"127.0.0.1\", port = 6379 }", 0)
	end
	for name, value in pairs(wanted) do
		local kind <const> = kinds[name]
		if not kind then
			error(("redis: unknown key '%s' (there are host, port, path, username, password_file, "
				.. "database, tls)"):format(tostring(name)), 0)
		elseif kind ~= "any" and type(value) ~= kind then
			error(("redis.%s: a %s is needed"):format(name, kind), 0)
		end
	end
	return wanted
end

local function resolved(path)
	return path and paths.resolve_relative_path(prosody.paths.config, path)
end

-- Its first line. Others who may read it are worth a word.
local function read_password(path)
	local handle <const>, err = io.open(path)
	local text <const> = handle and handle:read("l")
	if handle then
		handle:close()
	end
	if not text or text == "" then
		error("redis.password_file: " .. (err or path .. " has no password in its first line"), 0)
	end
	local sound <const>, fault <const> = secret_file.read(path)
	if not sound then
		module:log("warn", "redis.password_file %s: %s", path, fault)
	end
	return text
end

local function tls_context(settings)
	local ssl <const> = config.get("*", "ssl") or {}
	local context, err = certmanager.create_context("redis port 0", "client",
		{ capath = ssl.capath, cafile = ssl.cafile, verify = "peer" },
		type(settings) == "table" and settings or nil)
	if not context then
		error("redis.tls: " .. tostring(err), 0)
	end
	return context
end

-- A pair written as { least, most } or { min =, max = }.
local function backoff()
	local wanted <const> = module:get_option("redis_backoff", { 0.1, 30 })
	local list <const> = type(wanted) == "table" and wanted or {}
	local least <const> = tonumber(list[1] or list.min) or 0.1
	local most <const> = tonumber(list[2] or list.max) or 30
	if least <= 0 or most < least then
		error("redis_backoff: { least, most } seconds are needed, as { 0.1, 30 }", 0)
	end
	return { least, most }
end

--- @return options for redis.new; raises with the name of what is wrong
return function ()
	local wanted <const> = check(module:get_option("redis", {}))
	local tls <const> = wanted.tls
	local verifies <const> = tls and (type(tls) ~= "table" or tls.verify ~= "none")
	return {
		host = wanted.host, port = wanted.port, path = resolved(wanted.path),
		username = wanted.username, database = wanted.database,
		password = wanted.password_file and read_password(resolved(wanted.password_file)),
		timeout = module:get_option_period("redis_timeout", 2), backoff = backoff(),
		sslctx = tls and tls_context(tls) or nil,
		verify = verifies and (wanted.host or "127.0.0.1") or nil,
	}
end
