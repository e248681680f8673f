--- Enabled modules: are their files there, do they compile, which options and services are
-- theirs. The text is read, never run.

local config <const> = require "core.configmanager"
local config_file <const> = require "core.config_file"
local didyoumean <const> = require "util.didyoumean"
local info <const> = require "host.info"
local paths <const> = require "util.paths"

local check_modules <const> = {}

local function plugin_dirs(state)
	local dirs = {}
	local configured = config.get("*", "plugin_paths")
	for _, path in ipairs(type(configured) == "table" and configured or { configured }) do
		if type(path) == "string" then
			dirs[#dirs + 1] = paths.resolve_relative_path(paths.dirname(state.file), path)
		end
	end
	dirs[#dirs + 1] = info.modules
	return dirs
end

--- The text and path of a module's file, and what is wrong with its rights (a list).
local function find(dirs, name, file)
	file = file or "mod_" .. name .. ".lua"
	for _, dir in ipairs(dirs) do
		for _, pattern in ipairs { "/mod_%s/%s/%s", "/mod_%s/%s", "/%s/%s", "/%s" } do
			local _, fields = pattern:gsub("%%s", "")
			local path = fields == 3 and pattern:format(name, name, file)
				or fields == 2 and pattern:format(name, file) or pattern:format(file)
			local text, judged = config_file.read(dir .. path)
			if text then
				return text, dir .. path, judged
			end
		end
	end
end

--- Names of all modules that could be enabled, as a set.
local function available(dirs)
	local names = {}
	local glob <const> = require "posix.glob".glob
	for _, dir in ipairs(dirs) do
		for _, pattern in ipairs { "/mod_*.lua", "/mod_*/mod_*.lua" } do
			for _, path in ipairs(glob(dir .. pattern, 0) or {}) do
				names[path:match("mod_([^/]+)%.lua$") or ""] = true
			end
		end
	end
	names[""] = nil
	return names
end

--- What gmatch finds of a pattern that begins with the plain text `word`; the pattern is for what
-- follows. gmatch tries at each character, which was 40 % of the reader's instructions.
local function matches(text, word, pattern)
	local pos = 1
	pattern = "^" .. pattern
	return function ()
		repeat
			local from, to = text:find(word, pos, true)
			pos = to and to + 1
			local found = from and text:match(pattern, pos)
			if found then
				return found
			end
		until not from
	end
end

--- What a module's text says about options: quoted words, and words that are joined to others.
local function note_options(found, text)
	for name in matches(text, "get_option", "[%w_]*%s*%(?%s*[\"']([%w_]+)[\"']%s*[^%.%s]") do
		found.options[name] = true
	end
	for _, quote in ipairs { '"', "'" } do
		for name in matches(text, quote, "([%a_][%w_]*)[\"']") do
			found.words[name] = true
		end
		for prefix in matches(text, quote, "([%a_][%w_]+)[\"']%s*%.%.") do
			found.prefixes[prefix] = true
		end
	end
	for suffix in matches(text, "..", "%s*[\"']([%a_][%w_]+)[\"']") do
		found.suffixes[suffix] = true
	end
end

--- The services that a module's text provides: their names, default ports, privacy.
local function note_services(found, name, text)
	for body in matches(text, "provides", "%s*%(?%s*[\"']net[\"']%s*,%s*(%b{})") do
		local ports = {}
		local list = body:match("default_ports%s*=%s*(%b{})")
		for port in (list or body:match("default_port%s*=%s*(%d+)") or ""):gmatch("%d+") do
			ports[#ports + 1] = tonumber(port)
		end
		local service = body:match("%f[%w_]name%s*=%s*[\"']([^\"']+)[\"']") or name:gsub("^net_", "")
		found.services[service] = {
			name = service, module = name, default_ports = ports,
			private = body:find("private%s*=%s*true") ~= nil,
			encryption = body:match("encryption%s*=%s*[\"'](%w+)[\"']"),
			config_prefix = body:match("config_prefix%s*=%s*[\"']([^\"']*)[\"']"),
		}
	end
end

local function syntax_fault(report, path, err)
	local line, message = err:match(":(%d+): (.*)$")
	report.add { file = path, line = tonumber(line), code = "module-syntax",
		message = message or err }
end

-- What everyone may write anyone can make the host's code. Nothing is said of a group: with a umask
-- of 002, which many users have, it may write all that they write.
local function judge_rights(report, path, judged)
	for _, item in ipairs(judged) do
		if item.everyone then
			report.add { file = path, line = 1, code = "unsafe-file", message = item.message,
				severity = report.as_root and "error" or "warning" }
		end
	end
end

local function visit_library(report, found, dirs, name, lib)
	local places <const> = { { name, lib .. ".lib.lua" }, { name, lib .. ".lua" },
		{ lib, lib .. ".lib.lua" } }
	for _, place in ipairs(places) do
		local text, path, judged = find(dirs, place[1], place[2])
		if text then
			judge_rights(report, path, judged)
			return note_options(found, text)
		end
	end
end

-- Whether a call is made whenever its file is run, by what stands before it on its line; one inside
-- of a block or a function may never be, and what it wants need not be there.
local function is_unconditional(before)
	return before:find("^module") ~= nil or before:find("^[%w_%s,]*=%s*module") ~= nil
		and not before:find("^%s")
end

-- A call of depends() whose word begins at `from`: name, whether it is made in any case, line. Nil
-- if it stands in a comment, or its name is put together.
local function dependency(text, from)
	local before <const> = text:sub(text:sub(1, from - 1):match(".*\n()") or 1, from - 1)
	local name <const>, rest <const> =
		text:match("^depends%s*%(?%s*[\"']([%w_]+)[\"']%s*([^%s]?%.?)", from)
	if not name or before:find("--", 1, true) or rest == ".." or not before:find("module%s*:%s*$") then
		return nil
	end
	local _, line <const> = text:sub(1, from):gsub("\n", "")
	return name, rest:sub(1, 1) ~= "," and is_unconditional(before), line + 1
end

local function dependencies(text)
	local pos = 1
	return function ()
		repeat
			local from, to = text:find("depends", pos, true)
			pos = to and to + 1
			local name, always, line
			if from then name, always, line = dependency(text, from) end
			if name then return name, always, line end
		until not from
	end
end

--- Reads one module and what it depends on.
local function visit(report, found, dirs, name, missing)
	if found.seen[name] then
		return
	end
	found.seen[name] = true
	local text, path, judged = find(dirs, name)
	if not text then
		return missing(name)
	end
	found.paths[name] = path
	judge_rights(report, path, judged)
	local chunk, err = load(text, "@" .. path, "t", {})
	if not chunk then
		return syntax_fault(report, path, err)
	end
	note_options(found, text)
	note_services(found, name, text)
	for lib in matches(text, "module", "%s*:%s*require%s*%(?%s*[\"']([^\"']+)[\"']") do
		visit_library(report, found, dirs, name, lib)
	end
	for needed, always, line in dependencies(text) do
		visit(report, found, dirs, needed, function ()
			report.add { file = path, line = line, code = "unknown-module",
				severity = always and "error" or "warning",
				message = ("mod_%s %s on mod_%s, which is not there"):format(name,
					always and "depends" or "may depend", needed) }
		end)
	end
end

local function list_of(value)
	return type(value) == "table" and value or { value }
end

local function visit_option(report, found, dirs, host, option)
	for _, name in ipairs(list_of(config.rawget(host, option))) do
		if type(name) ~= "string" then
			report.at(host, option, name, { code = "wrong-type",
				message = ("%s: expected names of modules, got %s"):format(option, tostring(name)) })
		else
			visit(report, found, dirs, name, function ()
				found.available = found.available or available(dirs)
				report.at(host, option, name, { code = "unknown-module",
					message = ("unknown module '%s' (no mod_%s.lua in %s)"):format(name, name,
						table.concat(dirs, ", ")),
					suggestion = didyoumean.suggest(name, found.available) })
			end)
		end
	end
end

local function check_folders(report, dirs)
	local sys <const> = require "host.sys"
	for i = 1, #dirs - 1 do
		local found <const> = sys.stat(dirs[i])
		if not found or found.type ~= "directory" then
			local configured = config.get("*", "plugin_paths")
			report.at("*", "plugin_paths", list_of(configured)[i], { code = "unreadable-file",
				message = ("plugin_paths: %s is not a folder"):format(dirs[i]) })
		end
	end
end

--- Checks the enabled modules.
-- @param report see core.check
-- @param as_root whether the host is started as root
-- @return what they know: seen, options, words, prefixes, suffixes (sets), services by name,
--   paths
function check_modules.run(report, as_root)
	report.as_root = as_root
	local found = { seen = {}, options = {}, words = {}, prefixes = {}, suffixes = {}, services = {},
		paths = {} }
	local dirs = plugin_dirs(report.state)
	check_folders(report, dirs)
	visit_option(report, found, dirs, "*", "modules_enabled")
	for _, host in ipairs(report.state.hosts) do
		visit_option(report, found, dirs, host, "modules_enabled")
		local component = config.rawget(host, "component_module")
		if component and component ~= "component" then
			visit_option(report, found, dirs, host, "component_module")
		end
	end
	return found
end

-- What a stop is without them.
local stops_without <const> = {
	graceful_shutdown = "a stop closes connections without a goodbye",
	lameduck = "a stop leaves load balancers no time to go elsewhere",
}

--- What is no fault and still not what most want: a stop without the modules that make it gentle.
-- One that stands in modules_disabled is missed by nobody.
-- @param found what run() has returned
-- @return list of sentences
function check_modules.hints(found)
	local unwanted <const>, list <const> = {}, {}
	for _, name in ipairs(list_of(config.rawget("*", "modules_disabled"))) do
		unwanted[name] = true
	end
	for _, name in ipairs { "graceful_shutdown", "lameduck" } do
		if not found.seen[name] and not unwanted[name] then
			list[#list + 1] = ("%s (add \"%s\" to modules_enabled, or to modules_disabled)"):format(
				stops_without[name], name)
		end
	end
	return list
end

return check_modules
