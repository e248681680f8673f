local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

local app <const> = [[
module:depends "http"
local async = require "util.async"
module:provides("http", { default_path = "/", route = {
	["GET /fast"] = function () return "fast" end,
	["GET /long"] = function () async.sleep(0.7) return "long" end,
	["GET /big"] = function (event)
		event.response.headers.content_length = "8000000"
		return event.response:send_file(io.open("/dev/zero"))
	end,
} })
]]

local function start(more)
	return daemon.start {
		modules = { app = app },
		config = [[
			modules_enabled = { "app", "admin_socket", "admin_shell", "graceful_shutdown", "lameduck" }
			http_ports = { 0 }; http_interfaces = { "127.0.0.1" }; http_default_host = "localhost"
			lameduck_period = 1; close_spread = 0
		]] .. (more or "") .. [[

			VirtualHost "localhost"
		]],
	}
end

local function get(path)
	return ("GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"):format(path)
end

-- Status, body and the Connection header of one answer; nil if the connection ends before it.
local function answer(c, timeout)
	local line <const> = c:line(timeout)
	if not line then
		return nil
	end
	local headers <const> = {}
	for text in function () return c:line() end do
		if text == "" then break end
		local name, value = text:match("^([^:]+): (.*)$")
		headers[name:lower()] = value
	end
	return tonumber(line:match("^HTTP/1%.1 (%d+)")),
		c:read(tonumber(headers["content-length"])), headers
end

describe("an HTTP service that is left", function ()
	after_each(function ()
		client.close_all()
		daemon.finish_all()
	end)

	local function connect(d)
		return assert(client.tcp("127.0.0.1", d.http))
	end

	local function started(more)
		local d <const> = start(more)
		d.http = d:port("http")
		return d
	end

	it("says Connection: close while it is drained, and no more when that is over", function ()
		local d <const> = started()
		local c = connect(d)
		c:send(get "/fast")
		assert.is_nil(select(3, answer(c)).connection)
		d:run("drain")
		c:send(get "/fast")
		local status, body, headers = answer(c)
		assert.same({ 200, "fast", "close" }, { status, body, headers.connection })
		assert.is_true(c:closed(1))
		c = connect(d)
		c:send(get "/fast")
		assert.equal("close", select(3, answer(c)).connection)
		d:run("undrain")
		c = connect(d)
		c:send(get "/fast")
		assert.is_nil(select(3, answer(c)).connection)
		d:stop()
	end)

	it("answers newcomers with 503 and Retry-After if it is to refuse them", function ()
		local d <const> = started "drain_refuses_new = true; goodbye = { after = 7 }"
		local old <const> = connect(d)
		old:send(get "/fast")
		assert.equal(200, (answer(old)))
		d:run("drain")
		local c <const> = connect(d)
		c:send(get "/fast" .. get "/fast")
		local status, _, headers = answer(c)
		assert.same({ 503, "7", "close" }, { status, headers["retry-after"], headers.connection })
		assert.is_true(c:closed(3))
		old:send(get "/fast")
		assert.equal(200, (answer(old)))
		d:stop()
	end)

	it("gives the answers under way when it stops", function ()
		local d <const> = started()
		local c, idle, silent <const> = connect(d), connect(d), connect(d)
		idle:send(get "/fast")
		answer(idle)
		c:send(get "/long")
		d:signal("TERM")
		d:wait_log("serving %-> stopping")
		local status, body, headers = answer(c)
		assert.same({ 200, "long", "close" }, { status, body, headers.connection })
		assert.equal("", idle:read_all(5))
		assert.equal("", silent:read_all(5))
		assert.equal("", c:read_all(5))
		c:close()
		idle:close()
		silent:close()
		d:wait_exit(10)
		d:stop()
	end)

	-- 64 clients that think up to two thirds of the lame-duck period; what they count:
	-- support/keepalive_load.lua.
	local function load_at_stop(d, think)
		local program <const> = process.spawn {
			argv = { daemon.binary(), "lua", "spec/support/keepalive_load.lua", tostring(d.http), "64",
				tostring(think), "30" },
			stdout = d.dir .. "/load.out", stderr = d.dir .. "/load.err",
		}
		wait.until_true(function () return d:status().in_flight.total >= 60 end, 10, "the load")
		wait.sleep(0.5)
		d:signal("TERM")
		d:wait_exit(20)
		program:wait_exit(20)
		local out <const> = process.read_file(d.dir .. "/load.out") or ""
		local answered, lost, closes <const> = out:match("(%d+)%s+(%d+)%s+(%d+)")
		assert.is_not_nil(answered, process.read_file(d.dir .. "/load.err"))
		return tonumber(answered), tonumber(lost), tonumber(closes)
	end

	it("loses no request of keep-alive connections at a stop", function ()
		local d <const> = started()
		local answered, lost, closes <const> = load_at_stop(d, 0.01)
		assert.equal(0, lost)
		assert.is_true(answered > 500, answered .. " answered")
		assert.is_true(closes >= 64, closes .. " closes")
		d:stop()
	end)

	it("loses none of clients that think for nearly the whole lame-duck period", function ()
		local d <const> = started()
		local answered, lost, closes <const> = load_at_stop(d, 0.7)
		assert.equal(0, lost)
		assert.is_true(answered > 64, answered .. " answered")
		assert.is_true(closes >= 64, closes .. " closes")
		d:stop()
	end)

	it("ends idle connections at a stop once they had the time for a request", function ()
		local d <const> = started "shutdown_report = 'report.json'"
		local idle, silent <const> = connect(d), connect(d)
		idle:send(get "/fast")
		answer(idle)
		wait.sleep(0.2)
		d:signal("TERM")
		d:wait_log("stopping: close%-clients")
		-- told nothing yet: a request that comes now is answered, and is the last
		local late <const> = silent
		late:send(get "/fast")
		local status, body, headers = answer(late)
		assert.same({ 200, "fast", "close" }, { status, body, headers.connection })
		assert.equal("", idle:read_all(5))
		late:close()
		idle:close()
		assert.equal(0, d:wait_exit(10))
		d:stop()
	end)

	it("cuts a peer that does not read its answer", function ()
		local d <const> = started "network_settings = { send_timeout = 1 }"
		local c <const> = connect(d)
		c:send(get "/big")
		-- nobody reads: the write timeout cuts it
		wait.until_true(function ()
			return #process.fds(d:worker_pid()) > 0 and d:status().in_flight.total == 0
		end, 8, "the slow reader to be cut")
		d:stop()
	end)
end)
