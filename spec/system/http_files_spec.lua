local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

describe("mod_http_files", function ()
	local d, port, dir
	setup(function ()
		dir = process.temp_dir()
		process.run { argv = { "mkdir", "-p", dir .. "/www/sub", dir .. "/www/empty" } }
		process.write_file(dir .. "/www/index.html", "<p>index</p>")
		process.write_file(dir .. "/www/a b.txt", "small")
		process.write_file(dir .. "/www/sub/big.bin", ("0123456789"):rep(20000))
		process.write_file(dir .. "/secret", "secret")
		d = daemon.start { config = ([[
			modules_enabled = { "http_files" }
			http_files_dir = %q
			http_ports = { 0 }; http_interfaces = { "127.0.0.1" }; http_default_host = "localhost"
			VirtualHost "localhost"
		]]):format(dir .. "/www") }
		port = d:port("http")
	end)
	teardown(function ()
		client.close_all()
		daemon.finish_all()
		process.remove_tree(dir)
	end)
	after_each(client.close_all)

	local function get(path, more, method)
		local c <const> = assert(client.tcp("127.0.0.1", port))
		c:send(("%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s\r\n")
			:format(method or "GET", path, more or ""))
		local text <const> = c:read_all(5)
		local head, body = text:match("^(.-)\r\n\r\n(.*)$")
		local headers <const> = {}
		for name, value in head:gmatch("\r\n([^:]+): ([^\r]*)") do
			headers[name:lower()] = value
		end
		return tonumber(head:match("^HTTP/1.1 (%d+)")), body, headers
	end

	it("serves small and large files with their type", function ()
		local status, body, headers = get "/files/a%20b.txt"
		assert.same({ 200, "small", "text/plain" }, { status, body, headers["content-type"] })
		status, body, headers = get "/files/sub/big.bin"
		assert.same({ 200, 200000, "200000" }, { status, #body, headers["content-length"] })
		assert.equal("application/octet-stream", headers["content-type"])
		assert.equal("<p>index</p>", select(2, get "/files/"))
	end)

	it("answers HEAD with the length", function ()
		local status, body, headers = get("/files/sub/big.bin", nil, "HEAD")
		assert.same({ 200, "", "200000" }, { status, body, headers["content-length"] })
	end)

	it("says 304 to whoever has it", function ()
		local _, headers
		wait.until_true(function ()
			_, _, headers = get "/files/a%20b.txt"
			return headers["last-modified"]
		end, 20, "the file to be old enough")
		for _, more in ipairs { "If-None-Match: " .. headers.etag, 'If-None-Match: "x", ' .. headers.etag,
			"If-None-Match: *", "If-Modified-Since: " .. headers["last-modified"] } do
			local status, body, again = get("/files/a%20b.txt", more .. "\r\n")
			assert.same({ 304, "" }, { status, body }, more)
			assert.equal(headers.etag, again.etag)
		end
		assert.equal(200, (get("/files/a%20b.txt", 'If-None-Match: "x"\r\n')))
	end)

	it("notices that a file has changed", function ()
		get "/files/index.html"
		process.write_file(dir .. "/www/index.html", "<p>changed</p>")
		assert.equal("<p>changed</p>", select(2, get "/files/index.html"))
		-- of the same length and within one second: it was served from memory for ever
		for i = 10, 40 do
			process.write_file(dir .. "/www/index.html", "<p>" .. i .. "</p>")
			assert.equal("<p>" .. i .. "</p>", select(2, get "/files/index.html"))
		end
	end)

	it("gives nothing out by which a client could keep what was written over at once", function ()
		-- Two writes within a step of the clock: on a loaded machine not all of the ten are so quick.
		local path <const>, stale = dir .. "/www/twice.txt", 0
		for i = 1, 10 do
			process.write_file(path, ("a%09d"):format(i))
			local _, _, first = get "/files/twice.txt"
			process.write_file(path, ("b%09d"):format(i))
			for _ = 1, 2 do
				local status, body = get("/files/twice.txt", (first.etag and
					"If-None-Match: " .. first.etag or "If-Modified-Since: "
					.. (first["last-modified"] or "never")) .. "\r\n")
				stale = stale + ((status == 304 or body:sub(1, 1) == "a") and 1 or 0)
			end
		end
		assert.equal(0, stale)
		-- Later it is kept as any other.
		wait.until_true(function ()
			local _, _, headers = get "/files/twice.txt"
			return headers.etag and headers["last-modified"]
		end, 20, "the validators")
		local _, _, first = get "/files/twice.txt"
		process.write_file(path, "c000000000")
		assert.equal("c000000000", select(2, get("/files/twice.txt",
			"If-None-Match: " .. first.etag .. "\r\n")))
	end)

	it("leads folders to their slash, and lists none", function ()
		local status, _, headers = get "/files/sub"
		assert.same({ 301, "/files/sub/" }, { status, headers.location })
		status, _, headers = get "/files/sub?a=b%20c"
		assert.same({ 301, "/files/sub/?a=b%20c" }, { status, headers.location })
		assert.equal(403, (get "/files/sub/"))
		assert.equal(404, (get "/files/nothing"))
		assert.equal(404, (get "/files/a%20b.txt/"))
	end)

	it("looks for a relative folder beside the config, and says if there is none", function ()
		local own <const> = daemon.start { config = [[
			modules_enabled = { "http_files" }; http_files_dir = "pages"
			http_ports = { 0 }; http_interfaces = { "127.0.0.1" }
		]] }
		local folder <const> = own.dir .. "/pages"
		assert.truthy(own:log():find("http_files_dir " .. folder .. " is not a folder", 1, true))
		process.run { argv = { "mkdir", folder } }
		process.write_file(folder .. "/index.html", "beside")
		local c <const> = assert(client.tcp("127.0.0.1", own:port "http"))
		c:send "GET /files/ HTTP/1.0\r\n\r\n"
		assert.truthy(c:read_all(5):find("\r\n\r\nbeside", 1, true))
		own:stop()
	end)

	it("never leaves its folder", function ()
		for _, path in ipairs { "/files/../secret", "/files/%2e%2e/secret", "/files/..%2fsecret",
			"/files/sub/../../secret", "/files/sub/..%2f..%2fsecret", "/files/%2e%2e%2fsecret",
			"/files/%252e%252e/secret", "/files//../secret", "/files/.%2e/secret", "/files/..",
			"/files/%00", "/files/a%20b.txt%00.html", "/files/..;/secret", "/files/....//secret",
			"/files/..\\secret", "/files/%5c..%5csecret" } do
			local status, body = get(path)
			assert.is_true(status == 400 or status == 404, path .. ": " .. status)
			assert.is_nil(body:find("secret", 1, true), path)
		end
	end)
end)
