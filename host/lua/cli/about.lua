--- --version and --list-failpoints.

local info <const> = require "host.info"

local about <const> = {}

local libraries <const> = { "posix.unistd" }

local function print_line(name, value)
	io.stdout:write(("%-12s %s\n"):format(name, tostring(value)))
end

--- `gadwall --version`: one line; with --verbose what a bug report needs.
function about.version(values)
	io.stdout:write("gadwall ", info.version, "\n")
	if not values.verbose then
		return 0
	end
	print_line("Lua", _VERSION)
	print_line("binary", info.binary)
	print_line("root", info.root .. (info.checkout and " (checkout)" or ""))
	print_line("modules", info.modules)
	print_line("failpoints", info.failpoints and "yes (test build)" or "no")
	for _, name in ipairs(libraries) do
		local ok, found = pcall(require, name)
		print_line((name:match("^%a+")), ok and (found.version or "found") or "missing")
	end
	for name, part in pairs(info.libraries or {}) do
		print_line(name, part)
	end
	return 0
end

--- `gadwall --list-failpoints`: the names that GADWALL_FAILPOINT knows.
function about.failpoints()
	for _, name in ipairs(info.failpoint_names) do
		io.stdout:write(name, "\n")
	end
	if not info.failpoints then
		io.stderr:write("gadwall: this build has no failpoints (make FAILPOINTS=1)\n")
	end
	return 0
end

return about
