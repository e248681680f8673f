-- What handshakes leave behind: nothing (TL-12).

local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local tls <const> = require "spec.support.tls"
local wait <const> = require "spec.support.wait"

describe("a burst of handshakes", function ()
	after_each(daemon.finish_all)

	it("leaves memory and descriptors as they were, round after round", function ()
		local dir <const> = process.temp_dir()
		local files <const> = tls.make(dir, "probe")
		local d <const> = daemon.start { modules = { probe = [[
			module:provides("net", { name = "probe", default_port = 0, listener = {},
				encryption = "ssl" })
		]] }, config = ([[
			modules_enabled = { "admin_socket", "admin_shell", "probe" }
			interfaces = { "127.0.0.1" }; ssl = { certificate = "%s", key = "%s" }
		]]):format(files.certificate, files.key) }
		local port <const>, pid <const> = d:port("probe"), d:worker_pid()

		-- As many as there is time for; returns how many that were, and the memory behind them.
		local function round()
			local code, out, err = process.run { timeout = 60, argv = { "openssl", "s_time", "-connect",
				"127.0.0.1:" .. port, "-new", "-time", "2" } }
			assert.equal(0, code, out .. err)
			wait.until_true(function ()
				for _, service in ipairs(d:status().services) do
					if service.service == "probe" then return service.connections == 0 end
				end
			end, 30, "all to be closed")
			local pages <const> = process.read_file(("/proc/%d/statm"):format(pid)):match("^%d+ (%d+)")
			return tonumber(out:match("(%d+) connections in %d+ real")), tonumber(pages) * 4096
		end

		-- Lua's heap breathes between two collections: its width is known after some rounds.
		local first
		for _ = 1, 3 do
			first = select(2, round())
		end
		local _, fds = process.fds(pid)
		local count, last = 0, nil
		for _ = 1, 3 do
			local n <const>, rss <const> = round()
			count, last = count + n, rss
		end
		assert.is_true(count > 0)
		if not os.getenv "GADWALL_SLOW" then -- sanitizers keep what is freed for a while
			assert.is_true(last - first < 3 << 19, ("%d handshakes: %d bytes"):format(count,
				last - first))
		end
		assert.equal(fds, (select(2, process.fds(pid))))
		process.remove_tree(dir)
	end)
end)
