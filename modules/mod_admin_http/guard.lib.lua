-- Who may change something over HTTP: whoever knows the token and has not been sent here by a web
-- page. On a Unix socket the file's rights say it.

local config <const> = require "core.configmanager"
local fcntl <const> = require "posix.fcntl"
local hashes <const> = require "util.hashes"
local inet <const> = require "util.net"
local stat <const> = require "posix.sys.stat"
local unistd <const> = require "posix.unistd"

local guard <const> = {}

local longest <const> = 4096 -- bytes of a token
local others <const> = 7     -- rights of others in a mode

-- What makes an open file unfit to hold a secret, or nil.
local function fault_of(fd)
	local found <const> = stat.fstat(fd)
	if not found or stat.S_ISREG(found.st_mode) == 0 then
		return "it is not a file"
	elseif found.st_mode & others ~= 0 then
		return ("others may use it (mode %03o; chmod o= it)"):format(found.st_mode & 511)
	elseif found.st_size > longest then
		return ("it is longer than %d bytes"):format(longest)
	end
end

-- Read at each use, so that a token that was changed is in force. @return token; or nil and why
local function read_token(path)
	local fd, err = fcntl.open(path, fcntl.O_RDONLY | fcntl.O_NONBLOCK | fcntl.O_CLOEXEC)
	if not fd then
		return nil, err
	end
	local fault, text = fault_of(fd), nil
	if not fault then
		text = (unistd.read(fd, longest) or ""):match("^%s*(.-)%s*$")
		fault = text == "" and "it is empty" or nil
	end
	unistd.close(fd)
	return not fault and text or nil, fault
end

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
	return hashes.equals(hashes.sha256(given), hashes.sha256(token))
end

local function refuse_token(request, path)
	if not path then
		return 403, "not permitted: admin_http_token_file is not set, and this is no Unix socket"
	end
	local token, err = read_token(path)
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
		token, err = read_token(path)
	end
	if not token then
		module:log_status("error", "admin_http_token_file %s: %s", path, err)
	end
end

return guard
