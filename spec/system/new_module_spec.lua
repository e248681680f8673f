local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"

local function run(...)
	return process.run { argv = { daemon.binary(), ... }, timeout = 30,
		env = { GADWALL_CONFIG = false, GADWALL_SOCKET = false } }
end

local function busted()
	local pipe <const> = io.popen "command -v busted"
	local path <const> = pipe:read "l"
	pipe:close()
	return path
end

describe("gadwall new module", function()
	local folder

	before_each(function() folder = process.temp_dir() end)
	after_each(function()
		daemon.finish_all()
		process.remove_tree(folder)
	end)

	for kind, config in pairs { tcp = "gulls_greeting", timer = "gulls_interval" } do
		it("writes a module of kind " .. kind .. " whose spec passes at once", function()
			local code, out = run("new", "module", "gulls", "--" .. kind, "--dir", folder)
			assert.equal(0, code)
			assert.matches(config, out)
			local passed, text, err = run("lua", busted(), folder .. "/mod_gulls_spec.lua")
			assert.equal(0, passed, text .. err)
			assert.matches("1 success", text)
		end)
	end

	it("writes modules that luacheck and check accept", function()
		run("new", "module", "gulls", "--dir", folder)
		local code, out = process.run { argv = { "luacheck", "-q", "--config", ".luacheckrc",
			"--std", "lua54+busted", "--globals", "module", "--", folder .. "/mod_gulls.lua",
			folder .. "/mod_gulls_spec.lua" } }
		assert.equal(0, code, out)
		process.write_file(folder .. "/a.cfg.lua", ([[
			plugin_paths = { %q }; modules_enabled = { "gulls" }
			gulls_ports = { 0 }; gulls_greeting = "hi"
		]]):format(folder))
		local checked, faults = run("check", "--no-bind", "-c", folder .. "/a.cfg.lua")
		assert.equal(0, checked, faults)
	end)

	it("says how to put it in force, wherever it is called", function ()
		local _, out, err = process.run { argv = { daemon.binary(), "new", "module", "gulls", "--dir",
			"." }, cwd = folder, timeout = 30 }
		assert.matches(('-- plugin_paths = { "%s" }'):format(folder), out, 1, true)
		assert.matches("then: gadwall check && gadwall upgrade ", err .. out, 1, true)
	end)

	it("never overwrites", function()
		process.write_file(folder .. "/mod_gulls.lua", "mine")
		local code, _, err = run("new", "module", "gulls", "--dir", folder)
		assert.equal(1, code)
		assert.matches("^gadwall: cannot make module gulls: .*mod_gulls.lua exists already %(.+%)", err)
		assert.equal("mine", process.read_file(folder .. "/mod_gulls.lua"))
		assert.is_nil(process.read_file(folder .. "/mod_gulls_spec.lua"))
	end)

	it("refuses names that are none and kinds that exclude each other", function()
		for _, name in ipairs { "../x", "A", "1x", "a-b", ("x"):rep(50) } do
			assert.equal(2, (run("new", "module", name, "--dir", folder)))
		end
		assert.equal(2, (run("new", "module", "x", "--tcp", "--timer", "--dir", folder)))
		assert.equal(2, (run("new", "thing", "x")))
		assert.equal(1, (run("new", "module", "x", "--dir", folder .. "/none")))
	end)
end)
