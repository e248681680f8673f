--- The words of the config language (Prosody's) for one file.
-- An option is set by assigning a global; everything that is wrong becomes a fault with its
-- place, and loading goes on where it can, so that `check` names all faults at once.

local config_proxy <const> = require "core.config_proxy"
local config_scan <const> = require "core.config_scan"
local config_text <const> = require "core.config_text"
local envload <const> = require "util.envload".envload
local paths <const> = require "util.paths"

local config_sandbox <const> = {}

local max_depth <const>, max_files <const> = 32, 1000

--- The line of the config file that is running now.
local function current_line(file)
	local source, level = "@" .. file, 3
	while true do
		local info = debug.getinfo(level, "Sl")
		if not info then
			return 1
		elseif info.source == source then
			return info.currentline
		end
		level = level + 1
	end
end

local function fault(state, file, severity, code, message, name)
	local line = current_line(file)
	local place = name and config_scan.place(state.scans[file], name, line)
	state:fault {
		file = file, line = place and place.line or line, column = place and place.column or 1,
		severity = severity, code = code, message = message,
	}
end

--- Ends the file with an error at the line that runs now.
local function fail(scope, message, ...)
	error(("%s:%d: %s"):format(scope.file, current_line(scope.file), message:format(...)), 0)
end

local function host_name(scope, name, word)
	if type(name) ~= "string" or name == "" then
		fail(scope, '%s needs a name, as in %s "example.org"', word, word)
	end
	if not utf8.len(name) or name:find("[%c%s@/]") then
		fail(scope, "the name of %s %q contains forbidden characters", word, name)
	end
	return name:lower()
end

local function set_section(scope, host, options)
	if type(options) ~= "table" then
		fail(scope, "expected a table of options after %s, got a %s", host, type(options))
	end
	local state, file = scope.state, scope.file
	local line = current_line(file)
	for name, value in pairs(options) do
		local place = config_scan.place_after(state.scans[file], tostring(name), line)
			or { line = line, column = 1 }
		state:set(host, name, config_proxy.unwrap(value), file, place)
	end
	scope.host = "*"
end

local function virtual_host(scope)
	return function (name)
		local host = host_name(scope, name, "VirtualHost")
		local component = scope.state:peek(host, "component_module")
		if component then
			fail(scope, "VirtualHost %q clashes with the Component of the same name", host)
		end
		scope.state:define(host, scope.file, current_line(scope.file))
		scope.host = host
		return function (options)
			if type(options) == "string" then
				fail(scope, "VirtualHost takes no module name (%q was given for %s)", options, host)
			end
			set_section(scope, host, options)
		end
	end
end

local function component(scope)
	return function (name)
		local host = host_name(scope, name, "Component")
		local state, file = scope.state, scope.file
		if state:peek(host, "defined") and not state:peek(host, "component_module") then
			fail(scope, "Component %q clashes with the VirtualHost of the same name", host)
		end
		local line = current_line(file)
		state:define(host, file, line)
		local place = { line = line, column = 1 }
		state:set(host, "component_module", "component", file, place)
		state:set(host, "load_global_modules", false, file, place)
		scope.host = host
		local function options_follow(options)
			set_section(scope, host, options)
		end
		return function (module)
			if type(module) == "string" then
				state:set(host, "component_module", module, file, place)
				return options_follow
			end
			return options_follow(module)
		end
	end
end

local function resolve(scope, path, word)
	if type(path) ~= "string" then
		fail(scope, "%s needs the name of a file", word)
	end
	return paths.resolve_relative_path(paths.dirname(scope.file), path)
end

local function include(scope)
	return function (name)
		local state = scope.state
		local path = resolve(scope, name, "Include")
		if not path:find("[*?]") then
			return config_sandbox.run(state, path, scope)
		end
		for _, found in ipairs(state.source:glob(path)) do
			if not paths.basename(found):find("^%.") then
				config_sandbox.run(state, found, scope)
			end
		end
	end
end

--- Reads a text for FileContents and its kin; a file that cannot be read is a fault and nil.
local function read(scope, name, word)
	local path = resolve(scope, name, word)
	local text, err = scope.state.source:read(path)
	if not text then
		fault(scope.state, scope.file, "error", "unreadable-file",
			("%s: cannot read %s: %s"):format(word, path, err))
		return nil
	end
	return text
end

local function first_line(text)
	return text and text:match("^[^\r\n]*")
end

local function credential(scope)
	return function (name)
		if type(name) ~= "string" or name == "" or name:find("/") then
			fail(scope, "Credential needs the name of a credential")
		end
		local folder = scope.state.source:getenv("CREDENTIALS_DIRECTORY")
		if not folder then
			fault(scope.state, scope.file, "error", "no-credentials", ("Credential %q: the "
				.. "service manager gave no CREDENTIALS_DIRECTORY"):format(name))
			return nil
		end
		local text = read(scope, folder .. "/" .. name, "Credential")
		return text
	end
end

local function lines(text)
	local list = {}
	for line in text:gmatch("([^\r\n]*)\r?\n?") do
		list[#list + 1] = line
	end
	if list[#list] == "" then
		list[#list] = nil
	end
	return list
end

local function run_script(scope)
	return function (name)
		local text = read(scope, name, "RunScript")
		if text then
			local chunk, err = envload(text, "@" .. resolve(scope, name, "RunScript"), _G)
			if not chunk then
				error(err, 0)
			end
			return chunk()
		end
	end
end

--- What a name that is no word of the language means: an option set before, Lua, or a mistake.
local function lookup(scope, name)
	local state, file = scope.state, scope.file
	local value = state:peek(scope.host, name)
	if value == nil then
		value = state:peek("*", name)
	end
	if type(value) == "table" then
		local host = scope.host
		return config_proxy.new(name, value, function (new)
			local line = current_line(file)
			local place = config_scan.place(state.scans[file], name, line)
				or { line = line, column = 1 }
			state:set(host, name, new, file, place, true)
		end)
	elseif value ~= nil then
		return value
	end
	local lua = rawget(_G, name)
	if lua ~= nil then
		fault(state, file, "warning", "lua-api",
			("'%s' is Lua's: write Lua.%s in a config"):format(name, name))
		return lua
	end
	fault(state, file, "warning", "bare-word",
		("unknown word '%s': are there quotes missing?"):format(name))
	return nil
end

--- The environment of one config file.
local function environment(scope)
	local words = {
		VirtualHost = virtual_host(scope), Component = component(scope), Include = include(scope),
		RunScript = run_script(scope), Credential = credential(scope), Lua = _G,
		FileContents = function (name) return read(scope, name, "FileContents") end,
		FileLine = function (name) return first_line(read(scope, name, "FileLine")) end,
		FileLines = function (name)
			local text = read(scope, name, "FileLines")
			return text and lines(text)
		end,
	}
	words.Host, words.host, words.component = words.VirtualHost, words.VirtualHost, words.Component
	words.include = words.Include
	return setmetatable({}, {
		__index = function (_, name)
			if type(name) == "string" and name:find("^ENV_") then
				return scope.state.source:getenv(name:sub(5))
			end
			local word = words[name]
			if word ~= nil then
				return word
			end
			return lookup(scope, name)
		end,
		__newindex = function (_, name, value)
			if words[name] then
				error("'" .. tostring(name) .. "' is a word of the config language", 2)
			end
			local line = current_line(scope.file)
			local place = config_scan.place(scope.state.scans[scope.file], name, line)
				or { line = line, column = 1 }
			scope.state:set(scope.host, name, config_proxy.unwrap(value), scope.file, place)
		end,
	})
end

--- Runs one config file into the state.
-- @param state the load in progress, see core.config_state
-- @param path file
-- @param from the scope that included it, or nil for the main file
-- @return true, or nil if the file could not be run to its end (the faults are in the state)
function config_sandbox.run(state, path, from)
	local depth = from and from.depth + 1 or 1
	if depth > max_depth then
		fail(from, "Include %q: files include each other (%d deep)", path, depth)
	end
	if #state.files >= max_files then
		fail(from, "Include %q: more than %d files", path, max_files)
	end
	local text = config_text.read(state, path, from, from and current_line(from.file))
	if not text then
		return nil
	end
	state.scans[path] = config_scan.scan(text)
	state.files[#state.files + 1] = path
	local scope = { state = state, file = path, host = "*", depth = depth }
	local chunk, err = envload(text, "@" .. path, environment(scope))
	local code = "syntax"
	if chunk then
		local ok
		ok, err = pcall(chunk)
		if ok then
			return true
		end
		code = "config-error"
	end
	local line, message = config_text.split_error(err, path)
	state:fault { file = path, line = line or 1, column = 1, severity = "error", code = code,
		message = message }
	return nil
end

return config_sandbox
