-- Every `sh` block of the READMEs is run, in a copy of the checkout, and must answer as the page
-- says.
--
-- In a block, a line with "$ " is a command and what follows is its output, where "…" stands for
-- anything; a block without "$ " is commands only. `apt install` is not run: what it would install
-- has to be here. `make run` is left running in the background once it has greeted. The copy lives
-- in a network namespace of its own, because the example's ports are fixed.

local process <const> = require "spec.support.process"
local unistd <const> = require "posix.unistd"

local here <const> = unistd.getcwd()
local binary <const> = (os.getenv("GADWALL") or "build/test/gadwall"):gsub("^([^/])", here .. "/%1")

-- Commands of a page: list of { text, wants (list of lines, or nil) }.
local function commands_of(page)
	local list, inside = {}, nil
	local function take(line, prompted)
		local text = line:match("^%$ (.*)")
		if text then
			list[#list + 1] = { text = text, wants = {} }
		elseif prompted then
			table.insert(list[#list].wants, line)
		elseif line:find("%S") then
			list[#list + 1] = { text = line }
		end
	end
	for line in assert(process.read_file(page)):gmatch("[^\n]*") do
		if inside and line:find("^```") then
			local prompted = (inside[1] or ""):find("^%$ ")
			for _, each in ipairs(inside) do take(each, prompted) end
			inside = nil
		elseif inside then
			inside[#inside + 1] = line
		elseif line:find("^```sh%s*$") then
			inside = {}
		end
	end
	assert(#list > 0 and not inside, "no whole sh block in " .. page)
	return list
end

local function as_pattern(line)
	local escaped = line:gsub("[%^%$%(%)%%%.%[%]%*%+%-%?]", "%%%0")
	return "^" .. escaped:gsub("%s+$", ""):gsub("…", ".*") .. "%s*$"
end

-- Whether lines[i..] are what wants[k..] says; a line "…" is any number of lines.
local function matches(lines, wants, i, k)
	if k > #wants then
		return i > #lines
	elseif wants[k] == "…" then
		for at = i, #lines + 1 do
			if matches(lines, wants, at, k + 1) then return true end
		end
		return false
	end
	return lines[i] ~= nil and lines[i]:find(as_pattern(wants[k])) ~= nil
		and matches(lines, wants, i + 1, k + 1)
end

local function lines_of(text)
	local lines = {}
	for line in text:gmatch("([^\n]*)\n?") do lines[#lines + 1] = line end
	while lines[#lines] == "" do lines[#lines] = nil end
	return lines
end

local copy_script <const> = [[
set -eu
mkdir -p "$2/clone/build/test"
tar --exclude=./build --exclude=./.git --exclude=./.deps --exclude=./run --exclude=./dist -cf - . |
	tar -xf - -C "$2/clone"
ln -s "$PWD/.deps" "$2/clone/.deps"
built=${1%/*}
if [ -d "$built/obj" ]; then
	cp -a "$built/obj" "$2/clone/build/"
	# The dependencies name the folder that they were made in.
	find "$2/clone/build/obj" -name '*.d' -exec sed -i "s|^${built#"$PWD"/}/|build/|" {} +
fi
cp -a "$1" "$2/clone/build/gadwall"
cp -a "$1" "$2/clone/build/test/gadwall"
]]

local function sh(script, ...)
	local code, out, err = process.run { argv = { "sh", "-c", script, "sh", ... }, timeout = 60 }
	assert.equal(0, code, out .. err)
end

-- What a command becomes here.
local function translated(text)
	local packages = text:match("^apt install %-y (.*)")
	if packages then
		return (packages:gsub("(%S+)%s*", "command -v %1 && ")) .. "true"
	end
	return text
end

local await_greeting <const> = [[
i=0
until grep -q 'Ctrl-C' %s || [ $i -gt 900 ]; do i=$((i + 1)); sleep 0.1; done
grep -q 'Ctrl-C' %s; echo $? >%s
]]

-- The whole page as one script, each command with its output and status in files.
local function script_of(dir, commands, prelude, finale)
	local parts = { "cd " .. dir .. "/clone", "ip link set lo up 2>/dev/null", prelude }
	for i, command in ipairs(commands) do
		local base = ("%s/%d"):format(dir, i)
		process.write_file(base .. ".sh", translated(command.text) .. "\n")
		if command.text == "make run" then
			parts[#parts + 1] = ("sh %s.sh >%s.out 2>&1 </dev/null & host=$!"):format(base, base)
			parts[#parts + 1] = await_greeting:format(base .. ".out", base .. ".out", base .. ".rc")
		else
			parts[#parts + 1] = ("timeout 40 sh %s.sh >%s.out 2>&1 </dev/null; echo $? >%s.rc")
				:format(base, base, base)
		end
	end
	parts[#parts + 1] = finale
	return table.concat(parts, "\n") .. "\n"
end

local function run_page(dir, page, prelude, finale)
	local commands = commands_of(page)
	process.write_file(dir .. "/all.sh", script_of(dir, commands, prelude or "", finale or ""))
	local unshare = unistd.geteuid() == 0 and { "unshare", "-n" } or { "unshare", "-rn" }
	local able = process.run { argv = { unshare[1], unshare[2], "true" } } == 0
	local argv = able and unshare or {}
	table.move({ "sh", dir .. "/all.sh" }, 1, 2, #argv + 1, argv)
	local sanitized = process.read_file(binary):find("__asan_init", 1, true) ~= nil
	local code, out, err = process.run { argv = argv, timeout = 110, env = {
		-- As the binary was built, should make find that something is newer.
		SAN = sanitized and "1", FAILPOINTS = "1",
		MAKEFLAGS = false, MFLAGS = false, MAKELEVEL = false, BUILD = false, TESTS_FLOOR = false,
		DEPS = "no", GADWALL = false, GADWALL_CONFIG = false, GADWALL_SOCKET = false,
		RUNTIME_DIRECTORY = false, STATE_DIRECTORY = false, XDG_RUNTIME_DIR = false,
	} }
	assert.equal(0, code, out .. err)
	return commands
end

local function check(dir, page, commands)
	for i, command in ipairs(commands) do
		local out = process.read_file(("%s/%d.out"):format(dir, i)) or ""
		local what = ("%s: `%s` answered:\n%s"):format(page, command.text, out)
		assert.equal("0\n", process.read_file(("%s/%d.rc"):format(dir, i)), what)
		if command.wants and #command.wants > 0 then
			local wants = table.concat(command.wants, "\n")
			assert.is_true(matches(lines_of(out), command.wants, 1, 1), what .. "instead of:\n" .. wants)
		end
	end
end

describe("the commands of", function()
	local dir

	before_each(function()
		dir = process.temp_dir()
		sh(copy_script, binary, dir)
	end)
	after_each(function()
		if os.getenv("KEEP") then print(dir) else process.remove_tree(dir) end
	end)

	it("README.md do what it says, from make run to the end of the host with status 0", function()
		local commands = run_page(dir, "README.md", "host=", "wait $host; echo $? >" .. dir .. "/host.rc")
		check(dir, "README.md", commands)
		assert.equal("0\n", process.read_file(dir .. "/host.rc"))
		local log
		for i, command in ipairs(commands) do
			log = command.text == "make run" and process.read_file(("%s/%d.out"):format(dir, i)) or log
		end
		for _, phase in ipairs { "lame-duck", "stop-accepting", "close-clients", "stop-services",
			"quit" } do
			assert.is_truthy(log:find("stopping: " .. phase .. " ended clean", 1, true), phase)
		end
	end)

	it("modules/README.md do what it says on a running host", function()
		local finale = "build/gadwall stop >stop.out 2>&1; echo $? >" .. dir .. "/stop.rc"
		local commands = run_page(dir, "modules/README.md",
			"build/gadwall run --detach -c contrib/examples/gadwall.cfg.lua </dev/null >run.out 2>&1",
			finale)
		check(dir, "modules/README.md", commands)
		assert.equal("0\n", process.read_file(dir .. "/stop.rc"))
	end)

	it("spec/README.md do what it says", function()
		check(dir, "spec/README.md", run_page(dir, "spec/README.md"))
	end)
end)

describe("README.md", function()
	it("shows the ten-line module as it stands in contrib/examples, and it has ten lines", function()
		local source = process.read_file("contrib/examples/mod_hello.lua")
		local page = process.read_file("README.md")
		assert.is_truthy(page:find("```lua\n" .. source .. "```", 1, true))
		assert.equal(10, select(2, source:gsub("\n", "")))
	end)

	it("has at most 200 lines, and its links lead to files that exist", function()
		local page = process.read_file("README.md")
		assert.is_true(select(2, page:gsub("\n", "")) <= 200)
		for path in page:gmatch("%]%(([^)]+)%)") do
			assert.equal(0, unistd.access(path, "r"), path)
		end
	end)
end)
