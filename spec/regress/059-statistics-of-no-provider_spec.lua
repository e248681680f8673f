-- "With statistics = true a host whose config has 'no fault' ended with status 70 and not a word;
-- of a provider that does not exist nothing was said either: both before there was a log."

local daemon <const> = require "spec.support.daemon"

describe("regress: the option statistics", function ()
	after_each(daemon.finish_all)

	local function start(value, allow)
		return daemon.start { allow = allow, fds = false, config = ([[
			modules_enabled = { "admin_socket", "admin_shell", "http_openmetrics" }
			admin_http_ports = { 0 }; admin_http_interfaces = { "127.0.0.1" }
			statistics = %s
		]]):format(value) }
	end

	it("means the usual provider by true", function ()
		local d <const> = start "true"
		assert.is_nil(d:log():find("statistics provider", 1, true))
		d:stop()
	end)

	it("names a provider that is not there in the log, and the host serves without", function ()
		for _, value in ipairs { '"nosuch"', '":no.such.library"' } do
			local d <const> = start(value, { "statistics provider" })
			d:wait_log "stats%s+error%s+[^\n]*statistics provider '%:?n[^']+'"
			d:stop()
		end
	end)
end)
