-- Runs spec files, each in a process and with a temp folder of its own, two at a time:
--   lua5.4 contrib/dev/run-tests.lua [FILE_OR_FOLDER …]
-- Environment: GADWALL (binary), JOBS (2), SPEC_TIMEOUT (120 s a file, more on a loaded machine),
-- KEEP=1 (keep temp folders), TESTS_FLOOR (fail below that many passed), TAGS (run only these),
-- LOGS (folder for logs).
-- A file that is named twice (itself and its folder, say) runs once: its log has one name.
-- The last line is `N passed, M failed, K skipped`; the exit status is 1 if anything failed.

package.cpath = "./.deps/lib/lua/5.4/?.so;" .. package.cpath

local dirent <const> = require "posix.dirent"
local process <const> = require "spec.support.process"
local resource <const> = require "posix.sys.resource"
local stat <const> = require "posix.sys.stat"
local stdlib <const> = require "posix.stdlib"
local unistd <const> = require "posix.unistd"
local wait <const> = require "spec.support.wait"

local gadwall <const> = os.getenv("GADWALL") or "build/test/gadwall"
local jobs <const> = tonumber(os.getenv("JOBS") or 2)
local limit <const> = tonumber(os.getenv("SPEC_TIMEOUT") or 120)
local floor <const> = tonumber(os.getenv("TESTS_FLOOR") or 1)
local logs <const> = os.getenv("LOGS") or "build/test/log"
local busted <const> = os.getenv("BUSTED") or "/usr/bin/busted"

local function is_dir(path)
	local info = stat.stat(path)
	return info and stat.S_ISDIR(info.st_mode) ~= 0
end

-- Adds the spec files at and below `path` to `list`, whose keys are also the real paths in it.
local function find_specs(path, list)
	if not is_dir(path) then
		local real <const> = stdlib.realpath(path)
		if not list[real] then
			list[real] = true
			list[#list + 1] = path
		end
		return
	end
	local names = {}
	for name in dirent.files(path) do names[#names + 1] = name end
	table.sort(names)
	for _, name in ipairs(names) do
		local below = path .. "/" .. name
		if name:find("_spec%.lua$") or name:sub(1, 1) ~= "." and is_dir(below) then
			find_specs(below, list)
		end
	end
end

-- A spec whose first line says "plain lua too" needs no host: it runs in both interpreters.
local function interpreters(path)
	local file <close> = assert(io.open(path))
	local first = file:read("l") or ""
	if first:find("plain lua only", 1, true) then return { "lua5.4" } end
	if first:find("plain lua too", 1, true) then return { gadwall, "lua5.4" } end
	return { gadwall }
end

local function plan(paths)
	local queue = {}
	-- System specs first: they wait most, and the short ones fill the gaps at the end.
	for _, path in ipairs(paths) do
		for _, interpreter in ipairs(interpreters(path)) do
			queue[#queue + 1] = {
				path = path, interpreter = interpreter, late = not path:find("/system/", 1, true),
				name = path:gsub("^spec/", ""):gsub("%.lua$", "")
					.. (interpreter == "lua5.4" and " (lua5.4)" or ""),
			}
		end
	end
	table.sort(queue, function(a, b)
		if a.late ~= b.late then return b.late end
		return a.name < b.name
	end)
	return queue
end

local function start(job)
	local argv = { job.interpreter }
	if job.interpreter ~= "lua5.4" then argv[2] = "lua" end
	table.move({ busted, "--output=spec/support/tally.lua" }, 1, 2, #argv + 1, argv)
	if os.getenv("TAGS") then
		argv[#argv + 1] = "--run=tagged"
		argv[#argv + 1] = "--tags=" .. os.getenv("TAGS")
	end
	argv[#argv + 1] = job.path
	job.dir = process.temp_dir()
	stat.chmod(job.dir, 493) -- 0755: specs that drop root make passable folders below
	job.log = logs .. "/" .. job.name:gsub("[^%w_.-]", "-") .. ".log"
	os.remove(job.log)
	job.begin = wait.now()
	job.process = process.spawn {
		argv = argv, stdout = job.log, session = true,
		env = { TMPDIR = job.dir, GADWALL = gadwall, LUA_PATH = false, LUA_CPATH = false,
			ASAN_OPTIONS = "detect_leaks=1:exitcode=99",
			LSAN_OPTIONS = "print_suppressions=0:suppressions=spec/support/lsan.supp" },
	}
end

-- Reads the tally of a finished file: counts, and the names and texts of what failed.
local function read_tally(job)
	local ended = false
	job.passed, job.failed, job.skipped, job.failures = 0, 0, 0, {}
	for line in (process.read_file(job.log) or ""):gmatch("[^\n]+") do
		local kind, name = line:match("^T (%l+) ?(.*)$")
		if kind == "pass" then
			job.passed = job.passed + 1
		elseif kind == "skip" then
			job.skipped = job.skipped + 1
			job.failures.skipped = (job.failures.skipped or "") .. "\n  skipped: " .. name
		elseif kind == "fail" then
			job.failed = job.failed + 1
			job.failures[#job.failures + 1] = name
		elseif kind == "end" then
			ended = true
		elseif line:find("^M ") and #job.failures > 0 then
			job.failures[#job.failures] = job.failures[#job.failures] .. "\n    " .. line:sub(3)
		elseif line:find("Sanitizer") or line:find("runtime error:", 1, true) then
			job.sanitizer = line
		end
	end
	return ended
end

-- What long specs measured.
local function show_soaked(job)
	for line in (process.read_file(job.log) or ""):gmatch("soak: [^\n]+") do print("  " .. line) end
end

local function fail(job, text)
	job.failed = job.failed + 1
	job.failures[#job.failures + 1] = text
end

-- Each file is a session of its own: what is left in it when the file has ended is killed.
local function left_in_session(job)
	local names = {}
	for entry in dirent.files("/proc") do
		local pid = tonumber(entry)
		local info = pid and process.stat(pid)
		if info and info.session == job.process.pid and info.state ~= "Z" then
			process.kill(pid, "KILL")
			names[#names + 1] = ("%s (%d)"):format(info.name, pid)
		end
	end
	return #names > 0 and table.concat(names, ", ")
end

-- Faults of a file as a whole: it hung, ended early, left processes, or a sanitizer spoke.
local function judge(job, code, ended)
	local last = (process.read_file(job.log) or ""):sub(-1500)
	if not code then
		job.process:destroy()
		fail(job, ("the file was killed after %.0f s; last lines:\n%s"):format(
			wait.now() - job.begin, last))
	elseif not ended then
		fail(job, ("the file ended early with status %d; last lines:\n%s"):format(code, last))
	end
	local left = left_in_session(job)
	if code and left then fail(job, "processes were left running: " .. left) end
	if job.sanitizer then fail(job, "sanitizer: " .. job.sanitizer) end
end

local function finish(job, code)
	judge(job, code, read_tally(job))
	show_soaked(job)
	if not os.getenv("KEEP") then process.remove_tree(job.dir) end
	io.stdout:write(("%-4s %5.1fs %4d  %s%s\n"):format(job.failed > 0 and "FAIL" or "ok",
		wait.now() - job.begin, job.passed, job.name, job.failures.skipped or ""))
	for _, text in ipairs(job.failures) do
		io.stdout:write("  failed: ", text, "\n")
	end
	io.stdout:flush()
end

-- True when the job has ended (its result is printed) or was killed for its time.
local function step(job)
	local ended = job.process:status()
	if not ended and not wait.over(wait.now() - job.begin, limit) then return false end
	finish(job, ended and (ended.exit or 128 + (ended.signal or 0)))
	return true
end

local function run_all(queue)
	local active, next_job, done = {}, 1, {}
	while next_job <= #queue or #active > 0 do
		while #active < jobs and next_job <= #queue do
			start(queue[next_job])
			active[#active + 1] = queue[next_job]
			next_job = next_job + 1
		end
		for index = #active, 1, -1 do
			if step(active[index]) then done[#done + 1] = table.remove(active, index) end
		end
		wait.sleep(0.01)
	end
	return done
end

-- What keeps the whole run from a beginning, or nil.
local function refusal(args)
	if not unistd.access(gadwall, "x") then
		return ("no program %s: run `make test`, or set GADWALL"):format(gadwall)
	end
	for _, path in ipairs(args) do
		local readable <const>, why <const> = unistd.access(path, "r")
		if not readable then return ("%s; name a spec file or a folder of them"):format(why) end
	end
end

local function main(args)
	local why_not <const> = refusal(args)
	if why_not then
		io.stderr:write("run-tests: ", why_not, "\n")
		return false
	end
	-- Specs hold thousands of connections; a login often starts with 1024 descriptors.
	local most <const> = resource.getrlimit(resource.RLIMIT_NOFILE).rlim_max
	resource.setrlimit(resource.RLIMIT_NOFILE, { rlim_cur = most, rlim_max = most })
	local paths = {}
	for _, path in ipairs(#args > 0 and args or { "spec" }) do find_specs(path, paths) end
	os.execute("mkdir -p '" .. logs .. "'")
	local passed, failed, skipped, names = 0, 0, 0, {}
	for _, job in ipairs(run_all(plan(paths))) do
		passed, failed, skipped = passed + job.passed, failed + job.failed, skipped + job.skipped
		for _, text in ipairs(job.failures) do
			names[#names + 1] = job.name .. ": " .. text:match("^[^\n]*")
		end
	end
	if #names > 0 then io.stdout:write("\nfailures:\n  ", table.concat(names, "\n  "), "\n") end
	if #args == 0 and passed < floor and not os.getenv("TAGS") then
		io.stdout:write(("only %d tests passed, the floor is %d\n"):format(passed, floor))
		failed = failed + 1
	end
	io.stdout:write(("%d passed, %d failed, %d skipped\n"):format(passed, failed, skipped))
	return failed == 0
end

os.exit(main(arg))
