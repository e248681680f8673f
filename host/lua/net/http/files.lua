--- Files of a folder over HTTP: GET and HEAD, ETag and Last-Modified with 304, index files.
-- No path leaves the folder; a listing is what handlers of "directory-index" make, if it is on.

local cache <const> = require "util.cache"
local log <const> = require "util.logger".init("net.http.files")
local server <const> = require "net.http.server"
local stat <const> = require "posix.sys.stat"
local urldecode <const> = require "util.http".urldecode
local urlencode <const> = require "util.http".urlencode

local files <const> = {}

local date_format <const> = "!%a, %d %b %Y %H:%M:%S GMT"

-- The path below the folder; nil if it is none: it leaves the folder, or has '/' or NUL in a name.
local function below(path)
	local parts <const> = {}
	for part in path:gmatch("[^/]+") do
		part = urldecode(part)
		if part:find("[/%z]") then
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
	local info <const> = stat.stat((path:gsub("(.)/+$", "%1")))
	if not info then
		return nil
	end
	local kind = stat.S_ISDIR(info.st_mode) ~= 0 and "directory"
		or stat.S_ISREG(info.st_mode) ~= 0 and "file" or "other"
	return { kind = kind, size = info.st_size, modified = info.st_mtime, changed = info.st_ctime,
		inode = info.st_ino }
end

local function is_known(headers, etag, modified)
	local wanted <const> = headers.if_none_match
	if wanted then
		return wanted == "*" or ("," .. wanted:gsub("[ \t]", ""):gsub("W/", "") .. ",")
			:find("," .. etag .. ",", 1, true) ~= nil
	end
	return headers.if_modified_since == modified
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
		if found and found.kind == "file" then
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
	local file <const> = info.kind == "file" and io.open(full, "rb")
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
	-- Times of files are whole seconds: what has just changed may change again and look the same.
	if os.time() - info.changed > 1 then
		self.cache:set(full,
			{ data = data, etag = etag, content_type = response.headers.content_type })
	end
	return response:send(data)
end

--- Answers with one file.
-- @param path encoded path below the folder
function methods:send(event, path)
	local safe <const> = below(path or "")
	if not safe then
		return 400
	end
	local full <const> = self.path .. safe
	local info <const> = look(full)
	if not info then
		return 404
	elseif info.kind == "directory" then
		return self:send_directory(event, safe, full)
	elseif safe:sub(-1) == "/" then
		return 404
	end
	local headers <const> = event.response.headers
	local etag <const> = ('"%x-%x-%x"'):format(info.changed, info.size, info.inode)
	local modified <const> = os.date(date_format, info.modified)
	headers.etag, headers.last_modified = etag, modified
	if is_known(event.request.headers, etag, modified) then
		return 304
	end
	local known <const> = self.cache:get(full)
	if known and known.etag == etag then
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
