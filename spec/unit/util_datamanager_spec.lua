-- util.datamanager: stores as files, in Prosody's form. Prosody's own library reads what ours wrote
-- and the other way round, in a process of its own.

local process <const> = require "spec.support.process"

local peers <const> = process.read_file(".deps/peers/usr/lib/prosody/util/datamanager.lua")
	and ".deps/peers/usr/lib/prosody" or "/tmp/ref/usr/lib/prosody"

-- Runs a script with Prosody's libraries; `dm` is its datamanager, `print` its answer.
local function prosody(dir, script)
	local head = ([[package.path = %q .. "/?.lua;" .. package.path
		package.cpath = %q .. "/?.so;" .. package.cpath
		local dm = require "util.datamanager"; dm.set_data_path(%q)
		local serialize = require "util.serialization".new "oneline"
	]]):format(peers, peers, dir)
	local code, out, err = process.run { argv = { "lua5.4", "-e", head .. script } }
	assert(code == 0, err)
	return (out:gsub("\n$", ""))
end

local nasty <const> = {
	[1] = "one", [2] = { deep = { deeper = { 1, 2.5, -7, 1e100 } } }, text = "a\0b\r\n\"'\\\127\200",
	["key with space"] = true, ["end"] = false, [-3] = "negative", [2.5] = "float", empty = {},
	long = ("x"):rep(5000), utf8 = "žluťoučký", html = "]]<!--",
}

local names <const> = { "juliet", "o'hara@x", "a/b", "..", "ünï", "UPPER_lower-1", "%41", "\1" }

describe("util.datamanager", function ()
	local dm, dir

	before_each(function ()
		package.loaded["util.datamanager"] = nil
		dm = require "util.datamanager"
		dir = process.temp_dir()
		dm.set_data_path(dir .. "/data")
	end)

	after_each(function ()
		package.loaded["util.datamanager"] = nil
		process.remove_tree(dir)
	end)

	local function collect(...)
		local list = {}
		for name in ... do list[#list + 1] = name end
		table.sort(list)
		return list
	end

	it("gives back what was stored, also after a second write", function ()
		assert.is_nil(dm.load("u", "h", "s"))
		assert.is_true(dm.store("u", "h", "s", nasty))
		assert.same(nasty, dm.load("u", "h", "s"))
		assert.is_true(dm.store("u", "h", "s", { 1 }))
		assert.same({ 1 }, dm.load("u", "h", "s"))
		assert.same({ "u.dat" }, require "util.storefile".names(dir .. "/data/h/s"))
	end)

	it("keeps no file of an empty store", function ()
		assert.is_true(dm.store("u", "h", "s", { 1 }))
		assert.is_true(dm.store("u", "h", "s", {}))
		assert.is_nil(process.read_file(dm.getpath("u", "h", "s")))
		assert.is_true(dm.store("u", "h", "s", nil))
		assert.is_true(dm.list_store("u", "h", "s", {}))
		assert.is_nil(dm.load("u", "h", "s"))
	end)

	it("leaves the old value where the new one cannot be written", function ()
		assert.is_true(dm.store("u", "h", "s", { 1 }))
		assert.has_error(function () dm.store("u", "h", "s", { print }) end)
		assert.same({ 1 }, dm.load("u", "h", "s"))
		dm.set_data_path("/proc/nowhere")
		assert.same({ nil, "Error saving to storage" }, { dm.store("u", "h", "s", { 1 }) })
	end)

	it("answers with a message for a file that is damaged, and runs nothing in it", function ()
		dm.store("u", "h", "s", { 1 })
		process.write_file(dm.getpath("u", "h", "s"), "return { os.exit(3) };")
		assert.same({ nil, "Error reading storage" }, { dm.load("u", "h", "s") })
		process.write_file(dm.getpath("u", "h", "s"), "return {")
		assert.same({ nil, "Error reading storage" }, { dm.load("u", "h", "s") })
	end)

	it("adds items to a list in order", function ()
		for i = 1, 20 do assert.is_true(dm.list_append("u", "h", "l", { i = i, text = nasty.text })) end
		local items = dm.list_load("u", "h", "l")
		assert.equal(20, #items)
		assert.same({ i = 20, text = nasty.text }, items[20])
		assert.is_true(dm.list_store("u", "h", "l", { "a", "b" }))
		assert.same({ "a", "b" }, dm.list_load("u", "h", "l"))
	end)

	it("removes the first items of a list", function ()
		dm.list_store("u", "h", "l", { "a", "b", "c" })
		assert.is_true(dm.list_shift("u", "h", "l", 2))
		local list = dm.list_open("u", "h", "l")
		assert.same({ "b", "c" }, { list[1], list[2] })
		assert.is_true(list:close())
		assert.same({ nil, "invalid-argument" }, { dm.list_shift("u", "h", "l", 0) })
		assert.is_true(dm.list_shift("u", "h", "l", 9))
		assert.is_nil(dm.list_load("u", "h", "l"))
	end)

	it("loses only the last item where a write ended at any byte of it", function ()
		local path = dm.getpath("u", "h", "l", "list", true)
		dm.list_append("u", "h", "l", { "first" })
		local first = process.read_file(path)
		dm.list_append("u", "h", "l", { "second", item = "item(" })
		local both = process.read_file(path)
		for size = #first, #both do
			process.write_file(path, both:sub(1, size))
			local before = dm.list_load("u", "h", "l")
			assert.same({ "first" }, before[1])
			assert.is_true(dm.list_append("u", "h", "l", { "third" }))
			local after = dm.list_load("u", "h", "l")
			assert.equal(#before + 1, #after, "cut at " .. size)
			assert.same({ "third" }, after[#after])
		end
	end)

	it("lists users and stores, and purges one user everywhere", function ()
		for _, name in ipairs(names) do
			dm.store(name, "h", "roster_x", { 1 })
			dm.list_append(name, "h", "roster_x", { 1 })
		end
		dm.store("juliet", "h", "other", { 1 })
		dm.store(nil, "h", "own", { 1 })
		local sorted = table.move(names, 1, #names, 1, {})
		table.sort(sorted)
		assert.same(sorted, collect(dm.users("h", "roster_x")))
		assert.same(sorted, collect(dm.users("h", "roster_x", "list")))
		assert.same({ "other", "roster_x" }, collect(dm.stores("juliet", "h")))
		assert.same({ "roster_x" }, collect(dm.stores("..", "h")))
		assert.same({ "own" }, collect(dm.stores(nil, "h")))
		assert.same({ "other", "roster_x" }, collect(dm.stores(true, "h")))
		assert.same({}, collect(dm.users("nowhere", "s")))
		assert.is_true(dm.purge("juliet", "h"))
		assert.same({}, collect(dm.stores("juliet", "h")))
		assert.same({ 1 }, dm.load("..", "h", "roster_x"))
	end)

	it("asks callbacks before it stores", function ()
		local function refuse(user, ...)
			if user == "no" then return false end
			return user, ...
		end
		assert.is_true(dm.add_callback(refuse))
		assert.is_true(dm.store("no", "h", "s", { 1 }))
		assert.is_true(dm.store("yes", "h", "s", { 1 }))
		assert.is_nil(dm.load("no", "h", "s"))
		assert.is_true(dm.remove_callback(refuse))
		dm.store("no", "h", "s", { 1 })
		assert.same({ 1 }, dm.load("no", "h", "s"))
	end)

	describe("beside Prosody's", function ()
		local show <const> = require "util.serialization".new "oneline"
		local missing <const> = not process.read_file(peers .. "/util/datamanager.lua")

		it("names the same files", function ()
			if missing then pending "needs prosody" end
			for _, name in ipairs(names) do
				local theirs = prosody(dir .. "/data",
					("print(dm.getpath(%q, %q, %q, 'list'), (dm.getpath(nil, nil, %q)))"):format(
						name, name, name, name))
				assert.equal(theirs, dm.getpath(name, name, name, "list") .. "\t"
					.. dm.getpath(nil, nil, name))
			end
		end)

		it("reads what Prosody has written", function ()
			if missing then pending "needs prosody" end
			assert(require "posix.sys.stat".mkdir(dir .. "/data"))
			prosody(dir .. "/data", ([[
				local data = %s
				assert(dm.store("juliet", "ex.am-ple", "store_x", data))
				assert(dm.store(nil, "ex.am-ple", "store_x", data))
				for i = 1, 3 do assert(dm.list_append("juliet", "ex.am-ple", "list_x", { i, data })) end
			]]):format(show(nasty)))
			assert.same(nasty, dm.load("juliet", "ex.am-ple", "store_x"))
			assert.same(nasty, dm.load(nil, "ex.am-ple", "store_x"))
			assert.same({ { 1, nasty }, { 2, nasty }, { 3, nasty } },
				dm.list_load("juliet", "ex.am-ple", "list_x"))
			assert.same({ "list_x", "store_x" }, collect(dm.stores(true, "ex.am-ple")))
		end)

		it("writes what Prosody reads, byte for byte as it writes a value of one key", function ()
			if missing then pending "needs prosody" end
			for _, name in ipairs(names) do assert(dm.store(name, "host", "s", { name })) end
			assert(dm.store("big", "host", "big", nasty))
			assert(dm.list_append("big", "host", "big", nasty))
			assert(dm.list_append("big", "host", "big", "text"))
			local read = prosody(dir .. "/data", [[
				local users = {}
				for user in dm.users("host", "s") do
					assert(dm.load(user, "host", "s")[1] == user)
					users[#users + 1] = user
				end
				table.sort(users)
				print(serialize { users, dm.load("big", "host", "big"), dm.list_load("big", "host", "big") })
			]])
			local value = require "util.serialization".deserialize(read)
			local sorted = table.move(names, 1, #names, 1, {})
			table.sort(sorted)
			assert.same({ sorted, nasty, { nasty, "text" } }, value)
			local path = dm.getpath("o'hara@x", "host", "s")
			local ours = process.read_file(path)
			prosody(dir .. "/data", [[ assert(dm.store("o'hara@x", "host", "s", { "o'hara@x" })) ]])
			assert.equal(process.read_file(path), ours)
		end)
	end)
end)
