--- The reader: runs the config once, lists every fault, hands settings and bundle to the keeper,
-- ends.

local EX_NOPERM <const>, EX_CONFIG <const> = 77, 78

local bundle <const> = require "core.bundle"
local check <const> = require "core.check"
local config <const> = require "core.configmanager"
local places <const> = require "core.places"
local reader <const> = require "host.reader"
local settings <const> = require "core.settings"

--- Whether the keeper is root; we may have taken the identity of the config's owner meanwhile.
local function keeper_is_root()
	local _, euid, _, parent = require "host.sys".ids()
	if euid == 0 then
		return true
	end
	local status = io.open(("/proc/%d/status"):format(parent))
	local text = status and status:read("a") or ""
	if status then
		status:close()
	end
	return text:match("\nUid:%s+%d+%s+(%d+)") == "0"
end

local function config_file()
	return reader.args.config_file or os.getenv("GADWALL_CONFIG") or "/etc/gadwall/gadwall.cfg.lua"
end

-- In one write, or a line of another process may come between a line and its end.
local function print_fault(fault)
	io.stderr:write(check.line(fault) .. "\n")
end

local function refuse(faults, code)
	local list = {}
	for i, fault in ipairs(faults) do
		list[i] = { file = fault.file, line = fault.line, column = fault.column,
			severity = fault.severity, code = fault.code, message = fault.message,
			suggestion = fault.suggestion }
		if not reader.args.for_reload then
			print_fault(fault)
		end
	end
	reader.faults(require "util.json".encode(list)) -- 1 ms that a good config does without
	return code
end

--- Root without a user to become is refused.
local function root_fault(as_root, out, file)
	if not as_root or out.user_uid or out.run_as_root then
		return nil
	end
	return { file = file, line = 1, column = 1, severity = "error", code = "root",
		message = "started as root without a user for the workers: set user = \"…\" "
			.. "(or run_as_root = true)" }
end

return function ()
	local file = places.absolute(config_file())
	local as_root = keeper_is_root()
	local source = bundle.disk { as_root = as_root }
	-- Ports are bound by the worker a moment later; binding them here would only race with it.
	local faults = check.run(file, { source = source, bind = false, as_root = as_root, keep = true })
	for _, fault in ipairs(faults) do
		if check.is_fatal(fault) then
			return refuse(faults, EX_CONFIG)
		end
	end
	for _, fault in ipairs(faults) do
		print_fault(fault)
	end
	local out = settings.collect(places.find(file, as_root))
	local fault = root_fault(as_root, out, file)
	if fault then
		return refuse({ fault }, EX_NOPERM)
	end
	local ok, err = pcall(reader.settings, out)
	if not ok then
		return refuse({ { file = config.getconfig() and file, line = 1, column = 1,
			severity = "error", code = "settings",
			message = tostring(err):gsub("^.-:%d+: ", "") } }, EX_CONFIG)
	end
	reader.bundle(source:bundle())
	return 0
end
