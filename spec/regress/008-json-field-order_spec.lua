-- status --json and the report had their fields in another order at every run.
local daemon <const> = require "spec.support.daemon"
local json <const> = require "util.json"
local json_fields <const> = require "core.json_fields"

-- The keys of the object that the text begins with, in their order, and those of what is in it.
local function keys_of(text, pos)
	local keys, below = {}, {}
	pos = pos + 1
	while text:sub(pos, pos) ~= "}" do
		local key, behind = text:match('^,?"([^"]*)":()', pos)
		keys[#keys + 1], pos = key, behind
		local list = text:match("^%[()", pos)
		local inner = list or pos
		if text:sub(inner, inner) == "{" then below[key] = keys_of(text, inner) end
		pos = text:match('^"[^"]*"()', pos) or text:match("^%b{}()", pos)
			or text:match("^%b[]()", pos) or text:match("^[^,}]+()", pos)
	end
	return { keys, below }
end

local function assert_order(names, found, path)
	local wanted, seen = {}, {}
	for _, key in ipairs(found[1]) do seen[key] = true end
	for _, name in ipairs(names) do
		if seen[name] then wanted[#wanted + 1] = name end
	end
	assert.same(wanted, found[1], path)
	for name, below in pairs(found[2]) do
		if names[name] and #names[name] > 0 then assert_order(names[name], below, path .. "." .. name) end
	end
end

describe("JSON for programs", function ()
	after_each(daemon.finish_all)

	it("has the documented order of fields at every level", function ()
		local d <const> = daemon.start { config = [[
			modules_enabled = { "admin_shell", "echo", "lameduck", "graceful_shutdown" }
			echo_ports = { 0 }; echo_interfaces = { "127.0.0.1" }
		]] }
		local code, out = d:run("status", "--json")
		assert.equal(0, code)
		assert_order(json_fields.status, keys_of(out, 1), "status")
		local _, last = d:console('{"argv":["status"]}')
		assert.matches('^{"ok":true,"result":{"schema":1,"name":"gadwall","version":', last)
		code, out = d:run("stop", "--json")
		assert.equal(0, code)
		assert_order(json_fields.report, keys_of(out:match('"result":({.*})}'), 1), "report")
		assert.equal(0, d:wait_exit(5))
		local line <const> = d:log_lines("shutdown report: ")[1]:match("report: (.*)$")
		assert_order(json_fields.report, keys_of(line, 1), "log")
		d:stop()
	end)

	it("puts what no list names behind, sorted", function ()
		local value <const> = setmetatable({ b = 1, a = 2, z = 3, y = { 1 } },
			{ __jsonorder = { "z", "x", "b" } })
		assert.equal('{"z":3,"b":1,"a":2,"y":[1]}', json.encode(value))
	end)
end)
