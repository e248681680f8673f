--- `gadwall check`: every fault of a config at once, with place, caret and suggestion.

local check <const> = require "core.check"
local config_file <const> = require "core.config_file"
local exit <const> = require "cli.ui".exit
local guard <const> = require "host.guard"
local instance <const> = require "cli.instance"
local json_fields <const> = require "core.json_fields"

-- The line of a file that a fault points to, with a caret under its column.
local function excerpt(files, fault)
	local lines = files[fault.file]
	if not lines then
		lines = {}
		-- Never waits for a FIFO, never reads a folder.
		local text <const> = config_file.read(fault.file) or ""
		for line in text:gmatch("([^\n]*)\n?") do
			lines[#lines + 1] = line
		end
		files[fault.file] = lines
	end
	local line <const> = lines[fault.line]
	if not line or line == "" then
		return nil
	end
	-- Tabs stay tabs, so that the caret stands where the terminal puts the column.
	local blank <const> = line:sub(1, fault.column - 1):gsub("[^\t]", " ")
	return ("    %s\n    %s^"):format(line, blank)
end

local function print_fault(ctx, files, fault)
	local error_word <const> = fault.severity == "error"
	local word <const> = ctx.ui:paint(error_word and "red" or "yellow", fault.severity)
	local hint <const> = fault.suggestion
		and (" (did you mean '%s'?)"):format(fault.suggestion) or ""
	io.stdout:write(("%s:%d:%d: %s: %s%s\n"):format(fault.file, fault.line, fault.column, word,
		fault.message, hint))
	local shown <const> = not ctx.ui.quiet and excerpt(files, fault)
	if shown then
		io.stdout:write(shown, "\n")
	end
end

local function count(faults, severity)
	local n = 0
	for _, fault in ipairs(faults) do
		n = n + (fault.severity == severity and 1 or 0)
	end
	return n
end

local function plural(n, word)
	return ("%d %s%s"):format(n, word, n == 1 and "" or "s")
end

local function as_json(ctx, ok, faults)
	local array <const>, json <const> = require "util.array", require "util.json"
	local list <const> = array {}
	for _, fault in ipairs(faults) do
		list:push { file = fault.file, line = fault.line, column = fault.column,
			severity = fault.severity, code = fault.code, message = fault.message,
			suggestion = fault.suggestion or json.null }
	end
	ctx.ui:object { ok = ok, faults = json_fields.order(list, "faults") }
end

local function report(ctx, file, faults, hints)
	local errors <const>, warnings <const> = count(faults, "error"), count(faults, "warning")
	local ok <const> = errors == 0 and (warnings == 0 or not ctx.opts.strict)
	if ctx.ui.json then
		as_json(ctx, ok, faults)
	else
		local files <const> = {}
		for _, fault in ipairs(faults) do
			print_fault(ctx, files, fault)
		end
		if #faults == 0 then
			ctx.ui:note(file, ": no fault")
		else
			ctx.ui:note(("%s: %s, %s"):format(file, plural(errors, "error"),
				plural(warnings, "warning")))
		end
		for _, hint in ipairs(hints) do
			ctx.ui:note("hint: ", hint)
		end
	end
	return ok and 0 or exit.failed
end

local function shown(value)
	if type(value) ~= "table" then
		return type(value) == "string" and ("%q"):format(value) or tostring(value)
	end
	return (require "util.serialization".new { preset = "oneline", fatal = false,
		unquoted = true, fallback = tostring }(value))
end

--- `check --dump` and `run --print-config`: every option in force and where it was set.
local function dump(ctx, file)
	local list <const> = check.dump(file)
	if ctx.ui.json then
		ctx.ui:object { ok = true, exit = 0, result = list }
		return 0
	end
	local host
	for _, row in ipairs(list) do
		if row.host ~= host and row.host ~= "*" then
			io.stdout:write(("\nVirtualHost %q\n"):format(row.host))
		end
		host = row.host
		io.stdout:write(("%s = %s -- %s\n"):format(row.name, shown(row.value), row.origin))
	end
	return 0
end

return function (ctx)
	local file <const> = require "core.places".absolute(instance.config_file(ctx.opts))
	if ctx.opts.dump or ctx.opts.print_config then
		return dump(ctx, file)
	end
	-- As much as the reader has (bindings/role_reader.c): one config, one verdict.
	guard.limits { memory = 256 * 1024 * 1024 }
	local hints <const> = {}
	return report(ctx, file, check.run(file, { bind = not ctx.opts.no_bind, hints = hints }), hints)
end
