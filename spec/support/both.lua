--- One config and the same modules on gadwall and on real Prosody, for specs that compare the two.

local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local prosody <const> = require "spec.support.prosody"
local stat <const> = require "posix.sys.stat"

local both <const> = {}

--- Text of a module of the packages, unmodified.
function both.original(name)
	local folder = prosody.modules()
	return process.read_file(("%s/mod_%s.lua"):format(folder, name))
		or assert(process.read_file(("%s/mod_%s/mod_%s.lua"):format(folder, name, name)))
end

local function put_files(dir, files)
	for path, text in pairs(files or {}) do
		for at in path:gmatch "()/" do stat.mkdir(dir .. "/data/" .. path:sub(1, at - 1), 493) end
		process.write_file(dir .. "/data/" .. path, text)
	end
end

local function http(port)
	return { config = ("http_ports = { %d }; https_ports = {}; http_interfaces = { '127.0.0.1' }")
		:format(port) .. "\n", port = port }
end

local function start_ours(spec, web)
	local dir = process.temp_dir()
	stat.mkdir(dir .. "/data", 448)
	put_files(dir, spec.files)
	return daemon.start { dir = dir, modules = spec.modules, allow = spec.allow,
		config = ('modules_enabled = { "%s" }; interfaces = { "127.0.0.1" }\n'):format(
			table.concat(spec.enable, '", "')) .. web.config .. (spec.config or ""):gsub("DATA",
			dir .. "/data") }
end

local function start_theirs(spec, web)
	return prosody.start { modules = spec.modules, enable = spec.enable, prepare = function (dir)
		put_files(dir, spec.files)
		return web.config .. (spec.config or ""):gsub("DATA", dir .. "/data")
	end }
end

--- Starts both, lets `look(host, port)` see one after the other, and ends them.
--- @param spec table: enable (list of modules), modules (name → source), config (DATA stands for
--- the data folder), files (path in the data folder → text), allow (as for daemon.start)
--- @param look function(host, port of HTTP) → value; host has dir, log(), wait_log(pattern)
--- @return what it returned for gadwall, and for Prosody
function both.compare(spec, look)
	local web = http(client.free_port())
	local d = start_ours(spec, web)
	local ours = look(d, web.port)
	d:stop()
	web = http(client.free_port())
	local p = start_theirs(spec, web)
	local theirs = look(p, web.port)
	p:stop()
	return ours, theirs
end

--- For specs whose every test is a comparison; assert and pending are busted's.
--- @return function(spec, look): both.compare; asserts that both are the same, and returns it
function both.same(assert, pending)
	return function (spec, look)
		if not prosody.modules() then return pending "needs prosody" end
		local ours, theirs = both.compare(spec, look)
		assert.same(theirs, ours)
		return ours
	end
end

--- For after_each.
function both.finish_all()
	prosody.finish_all()
	daemon.finish_all()
end

--- Asks by HTTP; curl is the client.
--- @return table: status, headers (lower case), body
function both.curl(port, path, ...)
	local code, out = process.run { argv = { "curl", "-s", "-i", "-m", "5", "--path-as-is",
		("http://127.0.0.1:%d%s"):format(port, path), "-H", "Host: localhost", ... } }
	local head, body = out:match("^(.-)\r\n\r\n(.*)$")
	assert(head, "curl " .. code .. ": " .. out)
	local headers = {}
	for name, value in head:gmatch("\n([^:\r\n]+): *([^\r\n]*)") do headers[name:lower()] = value end
	return { status = tonumber(head:match("^HTTP/1.1 (%d+)")), headers = headers, body = body }
end

return both
