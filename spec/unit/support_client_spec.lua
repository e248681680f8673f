-- plain lua too
local client <const> = require "spec.support.client"
local process <const> = require "spec.support.process"
local wait_until <const> = require "spec.support.wait"

local dir, server

-- socat plays the server: what it runs is a script, because its own quoting eats backslashes.
local function serve(script)
	local port = client.free_port()
	process.write_file(dir .. "/script", script)
	server = process.spawn {
		argv = { "socat", ("TCP-LISTEN:%d,bind=127.0.0.1,reuseaddr"):format(port),
			"EXEC:sh " .. dir .. "/script" },
	}
	return wait_until(function() return client.tcp("127.0.0.1", port, 20) end, 20, "socat")
end

describe("spec.support.client", function()
	before_each(function() dir = process.temp_dir() end)
	after_each(function()
		client.close_all()
		if server then server:destroy() end
		server = nil
		process.remove_tree(dir)
	end)

	it("reads lines, counted bytes and the rest", function()
		local conn = serve("printf 'one\\r\\ntwo\\nabcdef'")
		assert.equal("one", conn:line())
		assert.equal("two", conn:line())
		assert.equal("abc", conn:read(3))
		assert.equal("def", conn:read_all())
		assert.is_true(conn:closed())
	end)

	it("sends, half-closes and gets the answer", function()
		local conn = serve("cat")
		assert.is_true(conn:send(("x"):rep(200000) .. "\n"))
		conn:shutdown()
		assert.equal(200001, #conn:read_all())
	end)

	it("gives timeout and what had arrived when a line does not end", function()
		local conn = serve("printf part; sleep 5")
		local line, err, partial = conn:line(0.3)
		assert.is_nil(line)
		assert.equal("timeout", err)
		assert.equal("part", partial)
		assert.is_false(conn:closed(0.05))
	end)

	it("names in an error what came instead of the expected line", function()
		local conn = serve("printf 'a\\nb\\n'")
		local ok, err = pcall(conn.expect, conn, "^c")
		assert.is_false(ok)
		assert.matches("got closed after: a / b", err)
	end)

	it("reports a refused connect with its errno", function()
		local conn, err, code = client.tcp("127.0.0.1", client.free_port())
		assert.is_nil(conn)
		assert.equal("Connection refused", err)
		assert.equal(require "posix.errno".ECONNREFUSED, code)
	end)
end)
