local bundle <const> = require "core.bundle"
local config <const> = require "core.configmanager"
local process <const> = require "spec.support.process"
local stat <const> = require "posix.sys.stat"

describe("core.configmanager", function ()
	local dir

	before_each(function () dir = process.temp_dir() end)
	after_each(function () process.remove_tree(dir) end)

	local function write(name, text)
		local path = dir .. "/" .. name
		process.write_file(path, text)
		return path
	end

	local function build(text, source)
		return config.build(write("a.cfg.lua", text), source)
	end

	local function messages(state)
		local list = {}
		for i, fault in ipairs(state.faults) do
			list[i] = ("%d:%d %s"):format(fault.line, fault.column, fault.code)
		end
		return list
	end

	it("puts options into the section that they stand in", function ()
		local state = build [[
			a = 1
			VirtualHost "One.Example"
				a = 2
			Component "two.example" "muc"
				b = "x"
			Host "three.example" { a = 3 }
			c = true
		]]
		assert.same({}, state.faults)
		assert.equal(1, state:peek("*", "a"))
		assert.equal(2, state:peek("one.example", "a"))
		assert.equal("muc", state:peek("two.example", "component_module"))
		assert.equal(3, state:peek("three.example", "a"))
		assert.is_true(state:peek("*", "c"))
		assert.equal(1, state.config["two.example"].a)
		assert.equal(1, state.config["unknown.example"].a)
		assert.same({ "one.example", "two.example", "three.example" }, state.hosts)
	end)

	it("has a host localhost, marked implicit, only when the config names no host", function ()
		local state = build "a = 1"
		assert.same({ "localhost" }, state.hosts)
		assert.equal("localhost", state.implicit)
		assert.same({ "x.example" }, build 'VirtualHost "x.example"'.hosts)
	end)

	it("refuses a VirtualHost and a Component of one name", function ()
		local state = build 'VirtualHost "a.example"\nComponent "a.example" "muc"'
		assert.equal("config-error", state.faults[1].code)
		assert.equal(2, state.faults[1].line)
	end)

	it("remembers where an option was set, to the column, also in tables and after append", function ()
		local state = build [[
modules_enabled = {
	"echo";
	"ehco";
}
  port = 3
modules_enabled:append { "more" }
modules_enabled { "most" }
VirtualHost "h" {
	x = 1;
	y = 2;
}
]]
		config.apply(state)
		assert.same({}, state.faults)
		assert.same({ "echo", "ehco", "more", "most" }, config.get("*", "modules_enabled"))
		local place = config.locate("*", "modules_enabled", "ehco")
		assert.same({ 3, 2 }, { place.line, place.column })
		place = config.locate("*", "modules_enabled", "more")
		assert.same({ 6, 26 }, { place.line, place.column })
		place = config.origin("*", "port")
		assert.same({ 5, 3 }, { place.line, place.column })
		place = config.origin("h", "y")
		assert.same({ 10, 2 }, { place.line, place.column })
	end)

	it("does not change the earlier table when a host appends to it", function ()
		local state = build [[
			list = { "a" }
			VirtualHost "h"
				list:append { "b" }
		]]
		assert.same({ "a" }, state:peek("*", "list"))
		assert.same({ "a", "b" }, state:peek("h", "list"))
	end)

	it("warns of an option set twice, of a bare word and of Lua's functions", function ()
		local state = build 'a = 1\na = 2\nb = debgu\nc = tostring(1)\nd = Lua.tostring(1)'
		assert.same({ "2:1 duplicate-option", "3:1 bare-word", "4:1 lua-api" }, messages(state))
		assert.equal(0, state:errors())
		assert.equal("1", state:peek("*", "d"))
	end)

	it("includes files in alphabetical order, relative to the including file", function ()
		stat.mkdir(dir .. "/conf.d")
		write("conf.d/b.cfg.lua", 'order = (order or "") .. "b"')
		write("conf.d/a.cfg.lua", 'order = (order or "") .. "a"\nInclude "c.txt"')
		write("conf.d/.hidden.cfg.lua", "hidden = true")
		write("conf.d/c.txt", "c = 1")
		local state = build 'order = ""\nInclude "conf.d/*.cfg.lua"'
		assert.equal("ab", state:peek("*", "order"))
		assert.equal(1, state:peek("*", "c"))
		assert.is_nil(state:peek("*", "hidden"))
		assert.equal(4, #state.files)
	end)

	it("reads files, lines, the environment and scripts", function ()
		write("three", "one\ntwo\nthree\n")
		write("s.lua", "return 42")
		local state = build [[
			all = FileContents "three"
			first = FileLine "three"
			lines = FileLines "three"
			home = ENV_PATH
			answer = RunScript "s.lua"
		]]
		assert.equal("one\ntwo\nthree\n", state:peek("*", "all"))
		assert.equal("one", state:peek("*", "first"))
		assert.same({ "one", "two", "three" }, state:peek("*", "lines"))
		assert.equal(os.getenv("PATH"), state:peek("*", "home"))
		assert.equal(42, state:peek("*", "answer"))
	end)

	it("names every fault at once and goes on after those that it can", function ()
		write("broken.lua", "x = = 1")
		local state = build [[
a = FileContents "nope"
Include "broken.lua"
Include "gone.lua"
b = 2
Lua.error("stop")
]]
		local codes = {}
		for i, fault in ipairs(state.faults) do codes[i] = fault.code .. ":" .. fault.line end
		assert.same({ "unreadable-file:1", "syntax:1", "unreadable-file:3", "config-error:5" }, codes)
		assert.equal(dir .. "/broken.lua", state.faults[2].file)
		assert.equal(2, state:peek("*", "b"))
	end)

	it("ends files that include each other with one message", function ()
		write("b.lua", 'Include "b.lua"')
		local state = build 'Include "b.lua"'
		assert.matches("include each other", state.faults[1].message)
	end)

	describe("meets what is no config file:", function ()
		it("a folder", function ()
			assert.matches("is a directory", config.build(dir).faults[1].message)
		end)

		it("a FIFO, without waiting for a writer", function ()
			assert(stat.mkfifo(dir .. "/fifo", 384))
			assert.matches("is a FIFO", config.build(dir .. "/fifo").faults[1].message)
		end)

		it("a device", function ()
			assert.matches("is a device", config.build("/dev/null").faults[1].message)
		end)

		it("an empty file", function ()
			assert.matches("0 bytes", build "".faults[1].message)
		end)

		it("a file that is not there", function ()
			assert.matches("no such file", config.build(dir .. "/x.lua").faults[1].message)
		end)

		it("text that is not UTF-8, with the place", function ()
			local state = build 'a = 1\nb = "\xff"'
			assert.same({ "2:6 not-utf8" }, messages(state))
		end)

		it("a NUL byte", function ()
			assert.same({ "1:6 not-utf8" }, messages(build 'a = 1\0'))
		end)

		it("more than 16 MiB", function ()
			local path = write("big.lua", "")
			local file <close> = assert(io.open(path, "w"))
			file:seek("set", 16 * 1048576 + 1)
			file:write("x")
			file:flush()
			assert.matches("larger than 16 MiB", config.build(path).faults[1].message)
		end)

		it("bytecode", function ()
			local state = build(string.char(27) .. "Lua")
			assert.equal("syntax", state.faults[1].code)
		end)
	end)

	it("judges the rights of the file that it opened", function ()
		local path = write("a.cfg.lua", "a = 1")
		assert(stat.chmod(path, 438)) -- 0666
		local state = config.build(path, bundle.disk { as_root = true })
		assert.equal("error", state.faults[1].severity)
		assert.equal("unsafe-file", state.faults[1].code)
		assert.equal("warning", config.build(path, bundle.disk {}).faults[1].severity)
		assert(stat.chmod(path, 432)) -- 0660
		assert.equal("warning", config.build(path, bundle.disk { as_root = true }).faults[1].severity)
		assert(stat.chmod(path, 384))
		assert.same({}, config.build(path, bundle.disk { as_root = true }).faults)
	end)

	it("keeps the config in force when load fails, and answers in Prosody's form", function ()
		assert.is_true(config.load(write("good.lua", "a = 1")))
		assert.equal(1, config.get("*", "a"))
		local ok, level, message = config.load(write("bad.lua", "a = = 2"))
		assert.is_nil(ok)
		assert.equal("parser", level)
		assert.matches("bad.lua:1: unexpected symbol", message)
		assert.equal(1, config.get("*", "a"))
		assert.same({ nil, "file" }, { config.load(dir .. "/none.lua"), (select(2,
			config.load(dir .. "/none.lua"))) })
		assert.equal(1, config.get("x", "core", "a"))
		assert.is_true(config.set("h", "a", 5))
		assert.equal(5, config.rawget("h", "a"))
	end)
end)

describe("core.bundle", function ()
	it("gives the same config again without the disk", function ()
		local dir = process.temp_dir()
		process.write_file(dir .. "/secret", "s3\n")
		process.write_file(dir .. "/inc.lua", "b = ENV_HOME")
		process.write_file(dir .. "/a.lua", 'a = FileLine "secret"\nInclude "i*.lua"\nInclude "none*"')
		local disk = bundle.disk()
		local first = config.build(dir .. "/a.lua", disk)
		local text = disk:bundle()
		process.remove_tree(dir)
		local second = config.build(dir .. "/a.lua", assert(bundle.open(text)))
		assert.same({}, first.faults)
		assert.same({}, second.faults)
		assert.equal("s3", second:peek("*", "a"))
		assert.equal(os.getenv("HOME"), second:peek("*", "b"))
		assert.same(first.files, second.files)
	end)

	it("keeps every byte, and refuses what is cut or changed anywhere", function ()
		local records = { { "file", "/a", "x\0y\n" }, { "glob", "/*", "" }, { "env", "A", "b" } }
		local text = bundle.encode(records)
		assert.same(records, bundle.decode(text))
		for i = 0, #text - 1 do
			assert.is_nil((bundle.decode(text:sub(1, i))))
		end
		for i = 1, #text do
			local changed = text:sub(1, i - 1) .. string.char(text:byte(i) ~ 1) .. text:sub(i + 1)
			assert.is_nil((bundle.decode(changed)), "byte " .. i)
		end
		assert.is_nil((bundle.decode(text .. "x")))
	end)
end)
