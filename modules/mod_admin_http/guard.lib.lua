-- Who may change something over HTTP: whoever knows the token and has not been sent here by a web
-- page. On a Unix socket the file's rights say it.

local config <const> = require "core.configmanager"
local inet <const> = require "util.net"
local secret_file <const> = require "core.secret_file"

local guard <const> = {}

local function is_unix(conn)
	return not inet.pton(conn:ip() or "")
end

-- A page on another site can have a browser send requests here, under the name of that site: only
-- names that cannot be somebody else's are taken.
local function is_own_name(host)
	local name = host:lower():match("^%[(.*)%]:?%d*$") or host:lower():match("^([^:]*):?%d*$")
	if not name or name == "" then
		return false
	elseif name == "localhost" or inet.pton(name) then
		return true
	end
	for _, known in ipairs(config.hosts()) do
		if known:lower() == name then
			return true
		end
	end
	return name == (config.get("*", "http_default_host") or ""):lower()
end

-- Equal digests, compared in a time that does not depend on the token.
local function matches(given, token)
	local hashes <const> = require "util.hashes" -- with OpenSSL, which few hosts need for this alone
	return hashes.equals(hashes.sha256(given), hashes.sha256(token))
end

local function refuse_token(request, path)
	if not path then
		return 403, "not permitted: admin_http_token_file is not set, and this is no Unix socket"
	end
	-- At each use, so that a token that was changed is in force.
	local token, err = secret_file.read(path)
	if not token then
		module:log("error", "admin_http_token_file %s: %s", path, err)
		return 403, "not permitted: the token file cannot be used (the log says why)"
	end
	local scheme, given = (request.headers.authorization or ""):match("^(%S+)%s+(%S+)%s*$")
	if not scheme or scheme:lower() ~= "bearer" then
		return 401, "not permitted: send 'Authorization: Bearer TOKEN'"
	elseif not matches(given, token) then
		return 401, "not permitted: wrong token"
	end
end

--- @param request that wants to change something
-- @param path of the token file, or nil
-- @return nothing if it may; else the status code and the reason
function guard.refuse(request, path)
	if is_unix(request.conn) then
		return nil
	elseif request.headers.origin then
		return 403, "not permitted: the request comes from a web page (it has an Origin)"
	elseif not is_own_name(request.headers.host or "") then
		return 403, "not permitted: the Host header is not a name of this host "
			.. "(use localhost, an address, or a VirtualHost)"
	end
	return refuse_token(request, path)
end

--- Says at load what is wrong with the token file.
-- @param path or nil
function guard.check_file(path)
	local token, err = true, nil
	if path then
		token, err = secret_file.read(path)
	end
	if not token then
		module:log_status("error", "admin_http_token_file %s: %s", path, err)
	end
end

return guard
