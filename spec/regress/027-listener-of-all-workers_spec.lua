-- "With two workers, a service that a config reload brought listened in one of them only: the other
-- one found its port in use, 'another program has port …'. Of port 0 each had one of its own."

local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local wait <const> = require "spec.support.wait"

describe("regress: a listener that a reload brings", function ()
	after_each(daemon.finish_all)

	-- Which workers answer at an address, of those that 64 connections met at one time.
	local function workers_at(connect)
		local seen <const>, count = {}, 0
		for i = 1, 64 do
			local c <const> = assert(connect(), i)
			local pid <const> = assert(c:line())
			count = count + (seen[pid] and 0 or 1)
			seen[pid] = true
		end
		client.close_all()
		return count
	end

	it("is one of all workers", function ()
		local port <const> = client.free_port()
		local before <const> = 'workers = 2; modules_enabled = { "admin_socket", "admin_shell" }'
		local d <const> = daemon.start {
			config = before,
			modules = { who = [[
				local pid <const> = require "posix.unistd".getpid()
				module:provides("net", { listener = { onconnect = function (conn)
					conn:write(pid .. "\n")
				end } })
			]] },
		}
		local path <const> = d.dir .. "/who"
		d:write_config(([[
			workers = 2; modules_enabled = { "admin_socket", "admin_shell", "who" }
			who_ports = { %d, 0 }; who_interfaces = { "127.0.0.1", %q }
		]]):format(port, path))
		local code, out = d:run "reload"
		assert.equal(0, code, out)
		assert.is_nil(d:log():find("Failed to open", 1, true))
		assert.equal(2, workers_at(function () return client.tcp("127.0.0.1", port) end))
		assert.equal(2, workers_at(function () return client.unix(path) end))
		local service
		wait.until_true(function () -- a worker that is late is not in the sum
			for _, row in ipairs(d:status().services) do
				service = row.service == "who" and row or service
			end
			return service.accepted == 128
		end, 10, "128 connections in the sum")
		assert.equal(3, #service.listeners)
		for _, listener in ipairs(service.listeners) do
			if listener.type == "tcp" and listener.port ~= port then
				assert.equal(2, workers_at(function ()
					return client.tcp("127.0.0.1", listener.port)
				end))
			end
		end
		d:write_config(before)
		assert.equal(0, (d:run "reload"))
		assert.is_nil(client.tcp("127.0.0.1", port))
		assert.is_nil(client.unix(path))
		d:rebase_fds()
		d:stop()
	end)
end)
