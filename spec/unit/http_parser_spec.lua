local cases <const> = require "spec.support.http_cases"
local http <const> = require "host.http"

local limits <const> = { body = 10 * 1024 * 1024 }

-- What a parser says to texts, in words: "POST / HTTP/1.1 body=…", "error 400", …
local function read(texts, kind, more)
	local parser <const> = http.parser(kind or "request", more or limits)
	local said <const> = {}
	for _, text in ipairs(texts) do
		local event, a, b = parser:next(text)
		while event do
			if event == "request" then
				said[#said + 1] = ("%s %s %s body=%s x=%s"):format(a.method, a.path, a.httpversion,
					a.body, a.headers.x or "-")
			elseif event == "error" then
				said[#said + 1] = ("error %d"):format(a)
				return said, b
			end
			event, a, b = parser:next()
		end
	end
	return said
end

local function bytes_of(text)
	local list <const> = {}
	for i = 1, #text do
		list[i] = text:sub(i, i)
	end
	return list
end

local function statuses(said)
	local last <const> = said[#said] or "nothing"
	return #said, last
end

describe("the HTTP parser", function ()
	for _, case in ipairs(cases) do
		it("refuses " .. case.name .. ", whole and byte by byte", function ()
			local whole, why = read { case.bytes }
			local count, last = statuses(whole)
			-- What is a request in form but has no path is refused by the server.
			if last:find("^error") or last == "nothing" then
				assert.equal(1, count, table.concat(whole, "; "))
				local expected = case.status == "4xx" and last:match("^error [45]%d%d$")
					or "error " .. case.status
				assert.equal(expected, last, why)
			else
				assert.equal(1, count, table.concat(whole, "; "))
				assert.matches("^%u+ nil ", last)
			end
			assert.same(whole, (read(bytes_of(case.bytes))))
		end)
	end

	local good <const> = table.concat {
		"GET /a?b=c HTTP/1.1\r\nHost: a\r\nX:  y \t\r\n\r\n",
		"\r\nPOST /p HTTP/1.1\r\nhost: a\r\nContent-Length: 5\r\n\r\nhello",
		"POST /c HTTP/1.1\r\nHOST: [::1]:80\r\nTransfer-Encoding: Chunked\r\n\r\n",
		"5\r\nhello\r\n6;ext=\"v\"\r\n world\r\n0\r\nTrailer: t\r\n\r\n",
		"HEAD http://h:80/%41//b HTTP/1.1\r\nHost: a\r\nX: 1\r\nX: 2\r\n\r\n",
		"GET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
		"GET /last HTTP/1.0\r\n\r\nGET /never HTTP/1.1\r\nHost: a\r\n\r\n",
	}
	local expected <const> = {
		"GET /a 1.1 body= x=y", "POST /p 1.1 body=hello x=-", "POST /c 1.1 body=hello world x=-",
		"HEAD /A/b 1.1 body= x=1,2", "GET /old 1.0 body= x=-", "GET /last 1.0 body= x=-",
	}

	it("reads what is well-formed", function ()
		assert.same(expected, (read { good }))
	end)

	it("sees the same wherever the input is split", function ()
		assert.same(expected, (read(bytes_of(good))))
		for at = 1, #good - 1 do
			local said = read { good:sub(1, at), good:sub(at + 1) }
			assert.same(expected, said, "split behind byte " .. at)
		end
	end)

	local function limit(parts, wanted, more)
		for extra, status in pairs(wanted) do
			local said = read({ parts(extra) }, nil, more)
			assert.equal(1, #said)
			if status then
				assert.equal("error " .. status, said[1], "with " .. extra)
			else
				assert.matches("^GET", said[1], "with " .. extra)
			end
		end
	end

	it("has limits that are exact to the byte", function ()
		limit(function (extra)
			local line = "GET /" .. ("a"):rep(100 - #"GET / HTTP/1.1" + extra) .. " HTTP/1.1"
			assert.equal(100 + extra, #line)
			return line .. "\r\nHost: a\r\n\r\n"
		end, { [-1] = false, [0] = false, [1] = 414 }, { line = 100 })
		limit(function (extra)
			local front = "Host: a\r\nX: "
			local header = front .. ("b"):rep(100 - #front - 2 + extra) .. "\r\n"
			assert.equal(100 + extra, #header)
			return "GET / HTTP/1.1\r\n" .. header .. "\r\n"
		end, { [-1] = false, [0] = false, [1] = 431 }, { header = 100 })
		limit(function (extra)
			return "GET / HTTP/1.1\r\nHost: a\r\n" .. ("X: y\r\n"):rep(9 + extra) .. "\r\n"
		end, { [-1] = false, [0] = false, [1] = 431 }, { headers = 10 })
		limit(function (extra)
			return "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: " .. 100 + extra .. "\r\n\r\n"
				.. ("x"):rep(100 + extra)
		end, { [-1] = false, [0] = false, [1] = 413 }, { body = 100 })
		limit(function (extra)
			return "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n32\r\n"
				.. ("x"):rep(50) .. ("\r\n%x\r\n"):format(50 + extra) .. ("x"):rep(50 + extra)
				.. "\r\n0\r\n\r\n"
		end, { [-1] = false, [0] = false, [1] = 413 }, { body = 100 })
	end)

	it("keeps trailers apart from headers", function ()
		local parser <const> = http.parser("request", limits)
		parser:next("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
			.. "1\r\nx\r\n0\r\nContent-Length: 50\r\nHost: b\r\nX: y\r\n\r\n")
		local _, request = parser:next()
		assert.equal("a", request.headers.host)
		assert.is_nil(request.headers.content_length)
		assert.is_nil(request.headers.x)
		assert.is_nil((parser:next()))
	end)

	-- What makes a request long, n times.
	local long <const> = {
		["chunks of one byte"] = function (n)
			return "Transfer-Encoding: chunked\r\n\r\n" .. ("1\r\nx\r\n"):rep(n) .. "0\r\n\r\n"
		end,
		["chunks with extensions"] = function (n)
			return "Transfer-Encoding: chunked\r\n\r\n" .. ("1;a\r\nx\r\n"):rep(n) .. "0\r\n\r\n"
		end,
		["headers"] = function (n) return ("X: y\r\n"):rep(n) .. "\r\n" end,
		["bytes of one header"] = function (n) return "X: " .. ("y"):rep(8 * n) .. "\r\n\r\n" end,
		["trailers"] = function (n)
			return "Transfer-Encoding: chunked\r\n\r\n0\r\n" .. ("X: y\r\n"):rep(n) .. "\r\n"
		end,
	}
	local wide <const> = { body = 100000000, line = 8192, header = 1000000, headers = 65535 }

	for name, make in pairs(long) do
		it(("takes time and memory in proportion to the input: %s"):format(name), function ()
			local function cost(n, piece)
				local text = "POST / HTTP/1.1\r\nHost: a\r\n" .. make(n)
				local best, most = math.huge, 0
				for _ = 1, 3 do
					local parser <const> = http.parser("request", wide)
					collectgarbage()
					local held, began = collectgarbage("count"), os.clock()
					for at = 1, #text, piece do
						local event, _, why = parser:next(text:sub(at, at + piece - 1))
						while event do
							assert.not_equal("error", event, why)
							event, _, why = parser:next()
						end
					end
					best = math.min(best, os.clock() - began)
					most = math.max(most, collectgarbage("count") - held)
				end
				return best, most
			end
			for _, piece in ipairs { 1 << 20, 1000 } do
				local short, small = cost(2500, piece)
				local time, memory = cost(20000, piece)
				assert.is_true(time < 24 * short + 0.02, ("%.4f s, then %.4f s"):format(short, time))
				assert.is_true(memory < 24 * small + 2000, ("%.0f KiB, then %.0f"):format(small, memory))
			end
		end)
	end

	it("makes a request's fields when they are asked for, and keeps what is assigned", function ()
		local owner <const> = {}
		local parser <const> = http.parser("request", limits, owner)
		local _, request = parser:next(
			"GET /a/../b%20c?q=%20 HTTP/1.1\r\nHost: EXAMPLE.org:80\r\nX-Fo-o: 1\r\nX_Fo_o: 2\r\n\r\n")
		assert.equal("/a/../b c", request.path)
		assert.same({ path = "/a/../b%20c", query = "q=%20" }, request.url)
		assert.equal("1", request.headers.x_fo_o)
		assert.equal(request.headers, request.headers)
		assert.equal(owner, request.conn)
		assert.is_nil(request.partial)
		assert.is_nil(request.anything)
		request.path, request.anything = "/new", false
		assert.equal("/new", request.path)
		assert.is_false(request.anything)
		assert.same({ "GET", "/a/../b c", "example.org" }, { http.target(request) })
	end)

	it("tells large, chunked and awaited bodies by their head", function ()
		local parser <const> = http.parser("request", { body = 10 })
		local head <const> = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n"
		local kind, request = parser:next(head .. "hello")
		assert.equal("head", kind)
		assert.is_false(request.body)
		assert.is_true(request.partial)
		parser:stream()
		assert.same({ "body", "hello" }, { parser:next() })
		assert.same({ "end", " world" }, { parser:next(" world") })
		assert.equal("head", (parser:next(head)))
		assert.same({ "error", 413, "body too large" }, { parser:next() })
		assert.equal("error", (parser:next("GET / HTTP/1.1\r\nHost: a\r\n\r\n")))
	end)
end)

describe("net.http.parser", function ()
	local parser <const> = require "net.http.parser"

	local function answers(texts, method, ended)
		local seen <const> = {}
		local p <const> = parser.new(function (packet)
			if not packet.partial then
				seen[#seen + 1] = ("%d %s"):format(packet.code, packet.body)
			end
		end, function (why)
			seen[#seen + 1] = "error " .. why
		end, "client", function () return { method = method } end)
		for _, text in ipairs(texts) do
			p:feed(text)
		end
		if ended then
			p:feed(nil)
		end
		return seen
	end

	local good <const> = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
		.. "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 404 \r\nTransfer-Encoding: chunked\r\n\r\n"
		.. "2\r\nno\r\n0\r\n\r\n"

	it("reads answers, whole and byte by byte", function ()
		for _, texts in ipairs { { good }, bytes_of(good) } do
			assert.same({ "200 hi", "204 ", "404 no" }, answers(texts))
		end
	end)

	it("reads a body up to the end of the connection", function ()
		local text <const> = "HTTP/1.0 200 OK\r\n\r\nhello"
		assert.same({}, answers { text })
		assert.same({ "200 hello" }, answers({ text }, nil, true))
		assert.same({ "error unexpected-eof" },
			answers({ "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello" }, nil, true))
	end)

	it("knows that an answer to HEAD has no body", function ()
		assert.same({ "200 ", "200 " },
			answers({ ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"):rep(2) }, "HEAD"))
	end)

	it("reads requests with underscores and dashes as they came", function ()
		local packet
		local p <const> = parser.new(function (found) packet = found end, error, "server")
		p:feed("POST /a%20b?c HTTP/1.1\r\nHost: x\r\nContent-Type: t\r\nContent-Length: 2\r\n\r\nhi")
		assert.equal("POST", packet.method)
		assert.equal("/a b", packet.path)
		assert.same({ path = "/a%20b", query = "c" }, packet.url)
		assert.equal("t", packet.headers["content-type"])
		assert.equal("hi", packet.body)
	end)
end)
