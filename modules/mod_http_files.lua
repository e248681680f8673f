--- Serves the folder http_files_dir at /files. Options (Prosody's): http_files_dir,
-- http_index_files, http_dir_listing, http_files_cache_size, http_files_cache_max_file_size,
-- mime_types_file.

module:depends("http")

local files <const> = require "net.http.files"
local storefile <const> = require "util.storefile"

local usual <const> = {
	html = "text/html", htm = "text/html", txt = "text/plain", css = "text/css",
	js = "application/javascript", json = "application/json", xml = "application/xml",
	svg = "image/svg+xml", png = "image/png", gif = "image/gif", jpg = "image/jpeg",
	jpeg = "image/jpeg", webp = "image/webp", ico = "image/x-icon", woff2 = "font/woff2",
	wasm = "application/wasm", pdf = "application/pdf", mp4 = "video/mp4",
}

-- Lines of mime.types: TYPE EXTENSION...
local function read_types(path, types)
	local file <const> = io.open(path)
	if not file then
		module:log("debug", "There is no %s", path)
		return
	end
	for line in file:lines() do
		local kind, extensions = line:match("^([^#%s]%S*)%s+(.*)$")
		for extension in (extensions or ""):gmatch("%S+") do
			types[extension] = types[extension] or kind
		end
	end
	file:close()
end

-- Other modules share it, and may add to it.
local shared <const> = module:shared("/*/http_files/mime")

local function mime_types()
	if not shared.types then
		local types <const> = {}
		for extension, kind in pairs(usual) do
			types[extension] = kind
		end
		read_types(module:get_option_path("mime_types_file", "/etc/mime.types", "config"), types)
		shared.types = setmetatable(types, { __index = function (known, extension)
			local lower <const> = tostring(extension):lower()
			return lower ~= extension and rawget(known, lower) or "application/octet-stream"
		end })
	end
	return shared.types
end

local defaults <const> = {
	path = module:get_option_path("http_files_dir",
		module:get_option_path("http_path", nil, "config"), "config"),
	cache_size = module:get_option_integer("http_files_cache_size", 128, 1),
	cache_max_file_size = module:get_option_integer("http_files_cache_max_file_size", 4096, 0),
	index_files = module:get_option_array("http_index_files", { "index.html", "index.htm" }),
	directory_index = module:get_option_boolean("http_dir_listing", false),
	mime_map = mime_types(),
}

-- For older modules; new ones use net.http.files.
function module.environment.serve(opts)
	local all <const> = setmetatable(type(opts) == "table" and opts or { path = opts },
		{ __index = defaults })
	module:log("debug", "mod_http_files.serve is old: use net.http.files")
	return files.serve(all)
end

function module.environment.wrap_route(routes)
	for route, handler in pairs(routes) do
		if type(handler) ~= "function" then
			routes[route] = files.serve(handler)
		end
	end
	return routes
end

if not defaults.path then
	module:log("warn", "http_files_dir is not set: nothing is served")
	module:set_status("warn", "http_files_dir is not set")
else
	if storefile.kind(defaults.path) ~= "directory" then
		module:log_status("warn", "http_files_dir %s is not a folder: its files are 404",
			defaults.path)
	end
	module:provides("http", { route = { ["GET /*"] = files.serve(defaults) } })
end
