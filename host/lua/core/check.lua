--- Every fault of a config at once, with its place.

local bundle <const> = require "core.bundle"
local check_limits <const> = require "core.check_limits"
local check_modules <const> = require "core.check_modules"
local check_options <const> = require "core.check_options"
local check_ports <const> = require "core.check_ports"
local check_tls <const> = require "core.check_tls"
local config <const> = require "core.configmanager"
local options <const> = require "core.options"
local sys <const> = require "host.sys" -- util.time would make an event loop for its clock

local check <const> = {}

-- Seconds of processor time that a config may take; the reader's own alarm rings at 10.
local time_limit <const> = 9

--- Fills in what a fault left out, so that all have the same fields.
local function complete(state, fault)
	return {
		file = fault.file or state.file, line = fault.line or 1, column = fault.column or 1,
		severity = fault.severity or "error", code = fault.code, message = fault.message,
		suggestion = fault.suggestion,
	}
end

local function sort(state, faults)
	local rank = {}
	for i, file in ipairs(state.files) do
		rank[file] = rank[file] or i
	end
	for i, fault in ipairs(faults) do
		fault.order = i
	end
	table.sort(faults, function (a, b)
		local x, y = rank[a.file] or math.huge, rank[b.file] or math.huge
		if x ~= y then
			return x < y
		elseif a.file ~= b.file then
			return a.file < b.file
		elseif a.line ~= b.line then
			return a.line < b.line
		elseif a.column ~= b.column then
			return a.column < b.column
		end
		return a.order < b.order
	end)
	for _, fault in ipairs(faults) do
		fault.order = nil
	end
	return faults
end

--- Where a report points to: the assignment of an option, or a value inside it.
local function reporter(state, faults)
	return {
		state = state,
		--- Adds a fault.
		add = function (fault)
			faults[#faults + 1] = complete(state, fault)
		end,
		--- Adds a fault at an option, or at a value inside it. Options that are not set point to the
		-- file.
		at = function (host, name, value, fault)
			local place = value ~= nil and config.locate(host, name, value, state)
				or config.origin(host, name) or {}
			fault.file, fault.line, fault.column = place.file, place.line, place.column
			faults[#faults + 1] = complete(state, fault)
		end,
	}
end

--- The line of the main file that runs now, for the hook.
local function running_line(file)
	for level = 3, 40 do
		local info = debug.getinfo(level, "Sl")
		if not info then
			return nil
		elseif info.source == "@" .. file then
			return info.currentline
		end
	end
end

--- Builds the config with a limit on its time, which a loop around pcall does not outlive either.
-- @return the state; or nil and a fault
local function build_in_time(file, source)
	local stop, begun, line = os.clock() + time_limit, sys.clock(), nil
	-- In a coroutine of its own, so that the hook ends with it.
	local co = coroutine.create(config.build)
	local function look()
		if line or os.clock() > stop or sys.clock() - begun >= time_limit then
			line = line or running_line(file) or 1
			debug.sethook(co, look, "", 1)
			error("the config takes too long", 0)
		end
	end
	debug.sethook(co, look, "", 100000)
	local ok, state = coroutine.resume(co, file, source)
	if line then
		return nil, { file = file, line = line, column = 1, severity = "error", code = "too-long",
			message = ("the config runs for more than %d s"):format(time_limit) }
	elseif not ok then
		error(state, 0)
	end
	return state
end

local function run_parts(state, faults, opts)
	local report = reporter(state, faults)
	local modules = check_modules.run(report, opts.as_root)
	check_options.run(report, modules)
	check_ports.run(report, modules, opts)
	check_tls.run(report, modules)
	check_limits.run(report, opts)
	if opts.hints then
		table.move(check_modules.hints(modules), 1, 2, #opts.hints + 1, opts.hints)
	end
end

--- Checks a config file.
-- @param file path of the main file
-- @param opts table: `bind` false skips the test of ports; `source` where files are read from
--   (default: the disk); `as_root` the host will be started as root; `keep` true leaves the
--   config in force; `hints` a list that gets sentences about what is no fault
-- @return list of { file, line, column, severity, code, message, suggestion }, in the order of
--   the text
function check.run(file, opts)
	opts = opts or {}
	if opts.as_root == nil then
		opts.as_root = select(2, sys.ids()) == 0
	end
	local before = config.state()
	local state, late = build_in_time(file,
		opts.source or bundle.disk { as_root = opts.as_root })
	if not state then
		return { late }
	end
	local faults = {}
	for _, fault in ipairs(state.faults) do
		faults[#faults + 1] = complete(state, fault)
	end
	config.apply(state)
	-- A file that does not run to its end says too little: what it enables is not known.
	if #state.files > 0 and not check.has(faults, "syntax", state.file) then
		local ok, err = xpcall(run_parts, debug.traceback, state, faults, opts)
		if not ok then
			config.apply(before)
			error(err, 0)
		end
	end
	if not opts.keep then
		config.apply(before)
	end
	return sort(state, faults)
end

--- Whether there is a fault of a code (in a file).
function check.has(faults, code, file)
	for _, fault in ipairs(faults) do
		if fault.code == code and (not file or fault.file == file) then
			return true
		end
	end
	return false
end

--- Whether a fault keeps the host from running. An option that nobody reads does not, unless it
-- looks like the misspelling of one that somebody does.
function check.is_fatal(fault)
	return fault.severity == "error" and (fault.code ~= "unknown-option" or fault.suggestion ~= nil)
end

--- A fault as a line for people: "file:line:column: error: message (did you mean 'x'?)".
function check.line(fault)
	local hint = fault.suggestion and (" (did you mean '%s'?)"):format(fault.suggestion) or ""
	return ("%s:%d:%d: %s: %s%s"):format(fault.file, fault.line, fault.column, fault.severity,
		fault.message, hint)
end

--- Effective values of a config with their origin (`check --dump`).
-- @return list of { name, host, value, origin = "file:line" or "default" }
function check.dump(file, source)
	local before = config.state()
	local state = config.build(file, source)
	config.apply(state)
	local list = {}
	for _, row in ipairs(options.list) do
		if not row.hidden then
			list[#list + 1] = { name = row.name, host = "*", value = options.read(row.name),
				origin = config.where("*", row.name) or "default" }
		end
	end
	for host, section in pairs(state.origins) do
		for name, origin in pairs(section) do
			local row = options.row(name)
			if host ~= "*" or not row or row.hidden then
				list[#list + 1] = { name = name, host = host, value = state:peek(host, name),
					origin = origin.file .. ":" .. origin.line }
			end
		end
	end
	config.apply(before)
	table.sort(list, function (a, b)
		return a.host == b.host and a.name < b.name or a.host ~= b.host and a.host < b.host
	end)
	return list
end

return check
