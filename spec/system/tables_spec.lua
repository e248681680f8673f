-- The tables of modules/README.md against the code, both ways: a row that the code lacks is as
-- wrong as a thing of the code that has no row.

local commands <const> = require "cli.commands"
local daemon <const> = require "spec.support.daemon"
local events <const> = require "core.events_list"
local glob <const> = require "posix.glob"
local options <const> = require "core.options"
local process <const> = require "spec.support.process"

local page <const> = assert(process.read_file("modules/README.md"))

-- Rows of every table whose head is `head` (its first column's word), as lists of cells.
local function rows(head)
	local list, inside = {}, false
	for line in page:gmatch("[^\n]*") do
		if line:sub(1, 1) ~= "|" then
			inside = false
		elseif line:find("^| " .. head .. " |") then
			inside = true
		elseif inside and not line:find("^|%-") then
			local cells = {}
			for cell in line:gsub("\\|", "\1"):gmatch("|([^|]*)%f[|]") do
				cells[#cells + 1] = cell:match("^%s*(.-)%s*$"):gsub("\1", "|")
			end
			list[#list + 1] = cells
		end
	end
	assert(#list > 0, "no table with the head " .. head)
	return list
end

local function code(cell)
	return cell:match("`(.-)`") or ""
end

local function by_name(list)
	local map = {}
	for _, cells in ipairs(list) do
		local name = code(cells[1])
		assert(not map[name], "two rows for " .. name)
		map[name] = cells
	end
	return map
end

-- A default as the page writes it.
local function shown(value)
	if value == nil then
		return "–"
	elseif value == "loopback" then
		return value
	elseif type(value) ~= "table" then
		return type(value) == "string" and ("`%q`"):format(value) or "`" .. tostring(value) .. "`"
	end
	local items = {}
	for i, item in ipairs(value) do items[i] = shown(item):gsub("`", "") end
	return #items == 0 and "`{}`" or "`{ " .. table.concat(items, ", ") .. " }`"
end

local function keys(map)
	local list = {}
	for key in pairs(map) do list[#list + 1] = key end
	table.sort(list)
	return list
end

describe("modules/README.md, options", function()
	local documented, services = {}, {}
	for name, cells in pairs(by_name(rows("option"))) do
		(name:find("^SERVICE_") and services or documented)[name] = cells
	end
	local known = {}
	for _, row in ipairs(options.list) do
		if not row.hidden then known[row.name] = row end
	end

	it("has a row for every option of the code, and no other", function()
		assert.same(keys(known), keys(documented))
	end)

	it("has the code's types, defaults, owners and effects of a reload", function()
		for name, row in pairs(known) do
			local cells = documented[name] or {}
			local want = { row.type, shown(row.default), row.owner, row.reload }
			assert.same(want, { cells[2], cells[3], cells[4], cells[5] }, name)
			assert.equal(row.P or false, cells[1]:find("` P$") ~= nil, name .. ": Prosody's mark")
			assert.is_true(#cells[6] > 0, name .. ": no meaning")
		end
	end)

	it("lists the options that every service has", function()
		local want = {}
		for suffix, kind in pairs(options.service_suffixes) do want["SERVICE_" .. suffix] = kind end
		local have = {}
		for name, cells in pairs(services) do have[name] = cells[2] end
		assert.same(want, have)
	end)

	it("knows every option that a module of ours reads", function()
		local list = assert(glob.glob("modules/*.lua", 0))
		table.move(assert(glob.glob("contrib/examples/mod_*.lua", 0)), 1, 99, #list + 1, list)
		for _, path in ipairs(list) do
			for name in process.read_file(path):gmatch('module:get_option[%l_]*%(%s*"([%w_]+)"') do
				assert.is_truthy(options.row(name), path .. " reads " .. name)
			end
		end
	end)
end)

describe("the man pages", function()
	local now <const> = page:match("## Options(.-)Reserved for later versions")

	local config_page <const> = process.read_file("contrib/man/gadwall.cfg.lua.5")

	it("say of every option what puts a change in force", function()
		local words <const> = { live = "live", module = "reload the module", upgrade = "upgrade",
			start = "start" }
		for name, need in config_page:gmatch("%.It Va ([%l_%d]+) Pq [^\n]*, ([%l ]+)\n") do
			assert.equal(words[options.row(name).reload], need, name)
		end
	end)

	it("list every option of this version, with its default", function()
		local documented, known = {}, {}
		for name, text in config_page:gmatch("%.It Va ([%l_%d]+) Pq (.-)\n%f[.]") do
			documented[name] = text:match("\nDefault: (.*)%.$") or "–"
		end
		for _, row in ipairs(options.list) do
			if now:find("\n| `" .. row.name .. "`", 1, true) then
				known[row.name] = shown(row.default):gsub("`", "")
			end
		end
		assert.same(known, documented)
	end)

	it("list every command with its flags", function()
		local text = process.read_file("contrib/man/gadwall.8")
		for _, command in ipairs(commands.list) do
			local entry = text:match("%.It Cm " .. command.name .. "%f[%W](.-)\n%f[.]%.It")
				or text:match("%.It Xo\n%.Cm " .. command.name .. "\n(.-)\n%.It")
				or text:match("%.It Cm " .. command.name .. "%f[%W](.-)\n%.El")
			assert.is_truthy(entry, command.name)
			for _, flag in ipairs(command.flags) do
				local short = flag.short and entry:find("Fl " .. flag.short, 1, true)
				assert.is_truthy(flag.hidden or short or entry:find("Fl -" .. flag.name, 1, true),
					command.name .. " --" .. flag.name)
			end
		end
	end)
end)

describe("modules/README.md, events", function()
	local documented = by_name(rows("event"))

	it("has a row for every declared event, and no other", function()
		local known = {}
		for _, row in ipairs(events.list) do known[row.name] = row end
		assert.same(keys(known), keys(documented))
	end)

	it("has who fires it, its payload, and what becomes of answers", function()
		for _, row in ipairs(events.list) do
			local cells = documented[row.name] or {}
			assert.same({ row.by, "`" .. row.payload .. "`", row.mode },
				{ cells[2], cells[3], cells[4] }, row.name)
			assert.is_true(#(cells[5] or "") > 0, row.name .. ": no meaning")
		end
	end)
end)

describe("modules/README.md, commands", function()
	local documented = {}
	for usage, cells in pairs(by_name(rows("command"))) do
		documented[usage:match("^%S+")] = cells
	end

	it("has a row for every command, and no other", function()
		local known = {}
		for _, command in ipairs(commands.list) do known[command.name] = true end
		assert.same(keys(known), keys(documented))
	end)

	it("has their arguments and flags", function()
		for _, command in ipairs(commands.list) do
			local want, have = {}, {}
			for _, flag in ipairs(command.flags) do
				if not flag.hidden then
					want[#want + 1] = "--" .. flag.name .. (flag.value and " " .. flag.value or "")
				end
			end
			local cells = documented[command.name]
			for flag in cells[2]:gmatch("`(.-)`") do have[#have + 1] = flag end
			assert.same(want, have, command.name)
			assert.equal(command.name .. (command.args and " " .. command.args or ""), code(cells[1]))
			assert.is_true(#cells[3] > 0 and #cells[4] > 0, command.name .. ": no text or no exit status")
		end
	end)

	it("has the flags that all commands take", function()
		for _, flag in ipairs(commands.common) do
			assert.is_truthy(page:find(flag.short and "-" .. flag.short or "--" .. flag.name, 1, true),
				flag.name)
		end
	end)
end)

describe("modules/README.md, console", function()
	after_each(daemon.finish_all)

	-- What `help` answers, as usage lines: sections give one for each command.
	local function usages(d)
		local list = {}
		local function add(line)
			local text = line:match("^|%s+(.-)%s*$")
			if text then list[#list + 1] = text end
		end
		for _, line in ipairs((d:console("help"))) do
			local name = line:match("^|   (%l+)  +%S")
			local answer = name and d:console("help " .. name) or {}
			if name and answer[1]:find("^|   " .. name .. " %l") then
				for _, each in ipairs(answer) do add(each) end
			elseif answer[1] and answer[1]:find("^|%s+" .. name) then
				add(answer[1])
			end
		end
		return list
	end

	it("has a row for every command of the console, and no other", function()
		local d = daemon.start { config = [[
			modules_enabled = { "admin_socket", "admin_shell", "lameduck", "graceful_shutdown", "http" }
			http_ports = {}; https_ports = {}
		]] }
		local documented = by_name(rows("line"))
		local seen = {}
		for _, line in ipairs(usages(d)) do
			local best = ""
			for usage in pairs(documented) do
				local rest = line:sub(#usage + 1)
				local whole = line:sub(1, #usage) == usage and (rest == "" or rest:find("^ "))
				if whole and #usage > #best then best = usage end
			end
			assert.is_true(best ~= "" and not line:sub(#best + 1):find("^ [%[%u][%u%-]"),
				"no row for: " .. line)
			seen[best] = true
		end
		assert.same(keys(documented), keys(seen))
	end)
end)
