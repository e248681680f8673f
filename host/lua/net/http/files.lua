--- Files of a folder over HTTP: GET and HEAD, ETag and Last-Modified with 304, index files.
-- No path leaves the folder; a listing is what handlers of "directory-index" make, if it is on.

local cache <const> = require "util.cache"
local log <const> = require "util.logger".init("net.http.files")
local server <const> = require "net.http.server"
local sys <const> = require "host.sys"
local urlencode <const> = require "util.http".urlencode

local files <const> = {}

-- What has changed a moment ago may change again and look the same, in size and times: the kernel's
-- clock for files goes in steps of up to 10 ms, that of some file systems of 2 s, and a date says
-- whole seconds. Until that cannot happen any more the file is sent without them (RFC 9110,
-- 8.8.2.2) and kept by nobody, so that neither a client nor we take an old content for the new one.
local fine_step <const>, coarse_step <const> = 100000000, 2000000000 -- ns

local date_format <const> = "!%a, %d %b %Y %H:%M:%S GMT"

-- The path below the folder; nil if it is none: it leaves the folder, or has NUL in a name. It has
-- no escapes any more (request.path): what looks like one is part of a name.
local function below(path)
	local parts <const> = {}
	for part in path:gmatch("[^/]+") do
		if part:find("%z") then
			return nil
		elseif part == ".." then
			if #parts == 0 then
				return nil
			end
			parts[#parts] = nil
		elseif part ~= "." then
			parts[#parts + 1] = part
		end
	end
	if path:sub(-1) == "/" then
		parts[#parts + 1] = ""
	end
	return "/" .. table.concat(parts, "/")
end

local function look(path)
	return (sys.stat((path:gsub("(.)/+$", "%1"))))
end

-- @return entity tag, date; each nil while it could be that of another content
local function validators(info)
	local age <const> = math.floor(select(2, sys.clock()) * 1e9) - info.ctime_ns
	local step <const> = info.ctime_ns % 1000000000 ~= 0 and fine_step or coarse_step
	local etag <const> = age > step
		and ('"%x-%x-%x"'):format(info.ctime_ns, info.size, info.ino) or nil
	return etag, age > coarse_step and os.date(date_format, info.mtime) or nil
end

local function is_known(headers, etag, modified)
	local wanted <const> = headers.if_none_match
	if wanted then
		return wanted == "*" or etag ~= nil and ("," .. wanted:gsub("[ \t]", ""):gsub("W/", "") .. ",")
			:find("," .. etag .. ",", 1, true) ~= nil
	end
	return modified ~= nil and headers.if_modified_since == modified
end

local methods <const> = {}
local mt <const> = { __index = methods }

function methods:send_directory(event, path, full)
	local request, response <const> = event.request, event.response
	if full:sub(-1) ~= "/" then
		local encoded <const>, query <const> = urlencode(request.path):gsub("%%2f", "/"),
			request.url.query
		response.headers.location = encoded .. "/" .. (query and "?" .. query or "")
		return 301
	end
	for _, name in ipairs(self.index_files) do
		local found = look(full .. name)
		if found and found.type == "file" then
			return self:send(event, path .. name)
		end
	end
	local data = self.directory_index and server._events.fire_event("directory-index",
		{ path = request.path, full_path = full })
	if not data then
		return 403
	end
	response.headers.content_type = self.mime_map.html
	return response:send(data)
end

function methods:send_file(event, full, info, etag)
	local response <const> = event.response
	local file <const> = info.type == "file" and io.open(full, "rb")
	if not file then
		log("debug", "Cannot open %s", full)
		return 403
	end
	local extension <const> = full:match("%.([^./]+)$")
	response.headers.content_type = extension and self.mime_map[extension]
	if info.size > self.cache_max_file_size then
		response.headers.content_length = ("%d"):format(info.size)
		return response:send_file(file)
	end
	local data <const> = file:read("a") or ""
	file:close()
	if etag then
		self.cache:set(full,
			{ data = data, etag = etag, content_type = response.headers.content_type })
	end
	return response:send(data)
end

--- Answers with one file.
-- @param path below the folder, without escapes
function methods:send(event, path)
	local safe <const> = below(path or "")
	if not safe then
		return 400
	end
	local full <const> = self.path .. safe
	local info <const> = look(full)
	if not info then
		return 404
	elseif info.type == "directory" then
		return self:send_directory(event, safe, full)
	elseif safe:sub(-1) == "/" then
		return 404
	end
	local headers <const> = event.response.headers
	local etag <const>, modified <const> = validators(info)
	headers.etag, headers.last_modified = etag, modified
	if is_known(event.request.headers, etag, modified) then
		return 304
	end
	local known <const> = self.cache:get(full)
	if etag and known and known.etag == etag then
		headers.content_type = known.content_type
		return event.response:send(known.data)
	end
	return self:send_file(event, full, info, etag)
end

--- A handler for a route "GET /*".
-- @param opts folder; or table: path, mime_map (extension → type), index_files, directory_index
-- (bool), cache_size (files, 256), cache_max_file_size (bytes, 1024)
-- @return fn(event, path)
function files.serve(opts)
	if type(opts) ~= "table" then
		opts = { path = opts }
	end
	local folder <const> = setmetatable({
		path = opts.path, mime_map = opts.mime_map or { html = "text/html" },
		index_files = opts.index_files or { "index.html", "index.htm" },
		directory_index = opts.directory_index, cache = cache.new(opts.cache_size or 256),
		cache_max_file_size = tonumber(opts.cache_max_file_size) or 1024,
	}, mt)
	return function (event, path)
		return folder:send(event, path)
	end
end

return files
