--- The words of the config language (Prosody's, facts/prosody-api.md 2.6) for one file.
-- An option is set by assigning a global; everything that is wrong becomes a fault with its place, and loading goes
-- on where it can, so that `check` names all faults at once.

local config_scan <const> = require "core.config_scan"
local envload <const> = require "util.envload".envload
local paths <const> = require "util.paths"

local config_sandbox <const> = {}

local max_depth <const> = 32

local proxy_methods <const> = {}
local proxy_mt <const> = {}

--- The value behind what a config file calls an earlier option.
function config_sandbox.unwrap(value)
	if getmetatable(value) == proxy_mt then
		return rawget(value, "_value")
	end
	return value
end

function proxy_methods:value()
	return rawget(self, "_value")
end

function proxy_methods:append(more)
	if type(more) ~= "table" then
		error("append expects a list of values, as in " .. rawget(self, "_name") .. ":append { … }", 2)
	end
	more = config_sandbox.unwrap(more)
	local target = {}
	for key, value in pairs(rawget(self, "_value")) do
		target[key] = value
	end
	for key, value in pairs(more) do
		if math.type(key) ~= "integer" then
			target[key] = value
		end
	end
	for _, value in ipairs(more) do
		target[#target + 1] = value
	end
	rawset(self, "_value", target)
	rawget(self, "_set")(target)
	return self
end

function proxy_mt:__index(key)
	return proxy_methods[key] or rawget(self, "_value")[key]
end

function proxy_mt:__newindex(key, value)
	rawget(self, "_value")[key] = config_sandbox.unwrap(value)
end

function proxy_mt:__call(more)
	if type(more) ~= "table" then
		error("invalid syntax: is there a '=' missing after " .. rawget(self, "_name") .. "?", 2)
	end
	return proxy_methods.append(self, more)
end

function proxy_mt:__len()
	return #rawget(self, "_value")
end

function proxy_mt:__pairs()
	return pairs(rawget(self, "_value"))
end

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

local function host_name(name, word)
	if type(name) ~= "string" or name == "" then
		error(word .. " needs a name, as in " .. word .. ' "example.org"', 3)
	end
	if not utf8.len(name) or name:find("[%c%s@/]") then
		error(("the name of %s %q contains forbidden characters"):format(word, name), 0)
	end
	return name:lower()
end

local function set_section(scope, host, options)
	if type(options) ~= "table" then
		error("expected a table of options after " .. host .. ", got a " .. type(options), 3)
	end
	local state, file = scope.state, scope.file
	local line = current_line(file)
	for name, value in pairs(options) do
		local place = config_scan.place_after(state.scans[file], tostring(name), line)
			or { line = line, column = 1 }
		state:set(host, name, config_sandbox.unwrap(value), file, place)
	end
	scope.host = "*"
end

local function virtual_host(scope)
	return function (name)
		local host = host_name(name, "VirtualHost")
		local component = scope.state:peek(host, "component_module")
		if component then
			error(("VirtualHost %q clashes with the Component of the same name"):format(host), 0)
		end
		scope.state:define(host, scope.file, current_line(scope.file))
		scope.host = host
		return function (options)
			if type(options) == "string" then
				error(("VirtualHost takes no module name (%q was given for %s)"):format(options, host), 2)
			end
			set_section(scope, host, options)
		end
	end
end

local function component(scope)
	return function (name)
		local host = host_name(name, "Component")
		local state, file = scope.state, scope.file
		if state:peek(host, "defined") and not state:peek(host, "component_module") then
			error(("Component %q clashes with the VirtualHost of the same name"):format(host), 0)
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
		error(word .. " needs the name of a file", 3)
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
			error("Credential needs the name of a credential", 2)
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
		return setmetatable({ _name = name, _value = value, _set = function (new)
			local line = current_line(file)
			local place = config_scan.place(state.scans[file], name, line)
				or { line = line, column = 1 }
			state:set(host, name, new, file, place, true)
		end }, proxy_mt)
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
			scope.state:set(scope.host, name, config_sandbox.unwrap(value), scope.file, place)
		end,
	})
end

--- Splits Lua's "file:line: message".
local function split_error(err, file)
	local where, line, message = tostring(err):match("^(.-):(%d+): (.*)$")
	if where and (where == file or file:sub(-#where:gsub("^%.%.%.", "")) == where:gsub("^%.%.%.", "")) then
		return tonumber(line), message
	end
	return nil, tostring(err)
end

local function file_fault(state, scope, path, message)
	local line = scope and current_line(scope.file)
	state:fault {
		file = scope and scope.file or path, line = line or 1, column = 1, severity = "error",
		code = "unreadable-file",
		message = scope and ("Include: cannot read %s: %s"):format(path, message) or message,
	}
end

--- The text of a config file, or nil with a fault noted.
local function read_config(state, path, from)
	local text, detail = state.source:read(path)
	if not text then
		return file_fault(state, from, path, detail)
	end
	for _, item in ipairs(detail or {}) do
		state:fault { file = path, line = 1, column = 1, severity = item.severity,
			code = "unsafe-file", message = item.message }
	end
	if not from and text == "" then
		return file_fault(state, nil, path, "is empty (0 bytes)")
	end
	local valid, at = utf8.len(text)
	if not valid or text:find("\0", 1, true) then
		at = at or text:find("\0", 1, true)
		local _, newlines = text:sub(1, at):gsub("\n", "")
		state:fault { file = path, line = newlines + 1, severity = "error", code = "not-utf8",
			column = #text:sub(1, at - 1):match("[^\n]*$") + 1,
			message = ("is not UTF-8 text (byte %d)"):format(at) }
		return nil
	end
	return text
end

--- Runs one config file into the state.
-- @param state the load in progress, see core.config_state
-- @param path file
-- @param from the scope that included it, or nil for the main file
-- @return true, or nil if the file could not be run to its end (the faults are in the state)
function config_sandbox.run(state, path, from)
	local depth = from and from.depth + 1 or 1
	if depth > max_depth then
		error(("Include %q: files include each other (%d deep)"):format(path, depth), 0)
	end
	local text = read_config(state, path, from)
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
	local line, message = split_error(err, path)
	state:fault { file = path, line = line or 1, column = 1, severity = "error", code = code,
		message = message }
	return nil
end

return config_sandbox
