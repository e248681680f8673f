-- What a stop owes those who are connected: farewells before the link that carries them closes, and
-- every queued byte within the budget.
local daemon <const> = require "spec.support.daemon"
local shutdown <const> = require "spec.support.shutdown"
local wait <const> = require "spec.support.wait"

describe("a stop", function ()
	after_each(daemon.finish_all)

	-- The reason why Prosody's mod_graceful_shutdown was written: unavailable presences that were lost
	-- because the links to other servers died just as fast.
	it("lets a client service tell its peer of all 1,000 ends before the link closes", function ()
		local d <const> = shutdown.start {
			enable = { "graceful_shutdown", "front" }, config = [[
				front_ports = { 0 }; front_interfaces = { "127.0.0.1" }
				link_ports = { 0 }; link_interfaces = { "127.0.0.1" };
			]],
			modules = { front = [[
				module:set_global()
				local link
				local peer = {}
				function peer.onconnect(conn) link = conn conn:write("linked\n") end
				function peer.onincoming() end
				function peer.ongoodbye(conn) conn:write("goodbye, peer\n") end
				module:provides("net", { name = "link", class = "peer", default_port = 0, listener = peer })
				local client, names = {}, 0
				function client.onconnect(conn)
					names = names + 1
					conn.farewell = names
					conn:write("welcome\n")
				end
				function client.onincoming() end
				function client.ongoodbye(conn) conn:write("goodbye\n") end
				function client.ondisconnect(conn)
					if conn.farewell then link:write("farewell " .. conn.farewell .. "\n") end
				end
				module:provides("net", { name = "front", default_port = 0, listener = client })
			]] },
		}
		local link <const> = d:connect(shutdown.port(d, "link"))
		assert.equal("linked", link:line())
		local clients <const>, port <const> = {}, shutdown.port(d, "front")
		for i = 1, 1000 do
			clients[i] = d:connect(port)
			assert.equal("welcome", clients[i]:line())
		end
		d:signal("TERM")
		local lines <const> = shutdown.rest(link, 30)
		assert.equal(0, d:wait_exit(20))
		assert.equal("goodbye, peer", table.remove(lines))
		local heard, different = {}, 0
		for _, line in ipairs(lines) do
			assert.matches("^farewell %d+$", line)
			different = different + (heard[line] and 0 or 1)
			heard[line] = true
		end
		assert.equal(1000, different)
		assert.equal(1000, #lines)
		local report <const> = shutdown.report(d)
		assert.equal(1000, report.phases[2].closed.goodbye)
		assert.equal("clean", report.result)
		for _, c in ipairs(clients) do c:close() end
		link:close()
	end)

	it("delivers 20 MB to a slow reader within its budget", function ()
		local size <const> = 20 * 1024 * 1024
		local d <const> = shutdown.start {
			enable = { "graceful_shutdown", "bulk" }, allow = { "A callback took" }, config = [[
				bulk_ports = { 0 }; bulk_interfaces = { "127.0.0.1" }; shutdown_timeout = 50
				shutdown_phases = { "stop-accepting", "close-clients", { "quit", budget = 40 } }
			]],
			modules = { bulk = ([[
				module:set_global()
				local listener = {}
				function listener.onincoming(conn) conn:write(("x"):rep(%d)) end
				module:provides("net", { name = "bulk", default_port = 0, listener = listener })
			]]):format(size) },
		}
		local c <const> = d:connect(shutdown.port(d, "bulk"))
		c:send("all of it\n")
		assert.equal("x", c:read(1))
		d:signal("TERM")
		d:wait_log("stopping: quit")
		local got = 1
		local begun <const> = wait.now()
		while got < size do
			local want <const> = math.min(512 * 1024, size - got)
			local part <const> = c:read(want, 10)
			assert.equal(want, part and #part, got .. " bytes came")
			got = got + want
			wait.sleep(0.05) -- two seconds for all of it, at least
		end
		assert.equal("", c:read_all(10))
		assert.is_true(wait.now() - begun >= 2)
		assert.equal(0, d:wait_exit(20))
		local report <const> = shutdown.report(d)
		assert.equal("clean", report.result)
		assert.same({ connections = 0, bytes_unsent = 0, jobs = 0 }, report.lost)
		assert.matches("flushed %d%d%d%d%d%d+ bytes of 1 connections", d:log())
		c:close()
	end)

	it("names a handler that loops for ever in C, in log and report, and ends with 70", function ()
		local d <const> = shutdown.start {
			enable = { "graceful_shutdown", "bomb" }, exit = 70, fds = false,
			config = "worker_timeout = 1", allow = { "does not return", "SIGABRT", "SIGKILL" },
			modules = { bomb = [[
				module:set_global()
				module:hook("server-stopping", function ()
					return (("a"):rep(40)):find(("a?"):rep(40) .. ("a"):rep(40))
				end)
			]] },
		}
		d:signal("TERM")
		assert.equal(70, d:wait_exit(20))
		d:wait_log("server%-stopping in mod_bomb %(.*mod_bomb.lua:2%) does not return")
		local report <const> = shutdown.report(d)
		assert.same({ "failed", 70 }, { report.result, report.exit })
		assert.same({ "bomb", "server-stopping" },
			{ report.errors[1].module, report.errors[1].event })
		assert.equal("close-clients", report.phases[#report.phases].phase)
	end)
end)
