-- Prosody's mod_http_file_share and mod_mam depend on the global mod_cron: a reload of mod_cron
-- unloaded them for good, because its parts on hosts were unloaded and loaded with events.
local accept <const> = require "spec.support.accept"
local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"

local base <const> = [[
	module:set_global()
	function module.add_host(part) part.shown = "a part" end
]]
local dependent <const> = [[ module:depends("base") ]]

describe("a module that depends on a global one", function ()
	after_each(daemon.finish_all)

	it("is reloaded with it, and not unloaded", function ()
		local port <const> = client.free_port()
		local d <const> = daemon.start { fds = false,
			modules = { probe = accept.probe, base = base, dependent = dependent },
			config = accept.probe_config(port, "",
				'"base", "dependent", "admin_socket", "admin_shell"') }
		for _ = 1, 3 do
			assert.matches("^OK", select(2, d:console("module reload base")))
			assert.matches("dependent", table.concat(d:console("module list"), "\n"))
		end
		assert.equal(3, #d:log_lines("Auto%-reloading due to reload of localhost:base"))
		assert.equal(0, #d:log_lines("Auto%-unloading"))
		assert.matches("^OK", select(2, d:console("module unload base")))
		assert.not_matches("dependent", table.concat(d:console("module list"), "\n"))
	end)
end)
