--- What a probe works with: turns of the loop, listeners that write down what they hear, raw peers.
-- Runs under Prosody's server and ours, so it uses nothing but LuaSocket and net.server.

local logger <const> = require "util.logger"
local socket <const> = require "socket"

local toolkit <const> = {}

local server
local handles, sockets

-- Ports, descriptors and addresses of tables differ from run to run.
local function canonical(text)
	text = text:gsub("%f[%w]([1-6]%d%d%d%d)%f[^%w]", "PORT"):gsub("FD %d+", "FD n")
	return (text:gsub("0x%x+", "0x"):gsub("[^%s]*%.lua:%d+: ", ""))
end

--- A value as it stands in a trace.
function toolkit.show(value)
	if type(value) == "string" then
		return #value > 60 and ("<%d bytes>"):format(#value) or ("%q"):format(value)
	elseif type(value) == "number" or type(value) == "boolean" or value == nil then
		return tostring(value)
	end
	return "a " .. type(value):gsub("userdata", "table")
end

--- One line of the trace; strings and numbers as they are.
function toolkit.trace(...)
	local words = table.pack(...)
	for i = 1, words.n do
		words[i] = tostring(words[i])
	end
	print(canonical(table.concat(words, " ", 1, words.n):gsub("\n.*", "")))
end

--- One line: a word, then values with their quotes and types.
function toolkit.values(word, ...)
	local words = table.pack(...)
	for i = 1, words.n do
		words[i] = toolkit.show(words[i])
	end
	toolkit.trace(word, table.unpack(words, 1, words.n))
end

--- Whether calling it raises, and what it answers.
function toolkit.try(word, fn, ...)
	local results <const> = table.pack(pcall(fn, ...))
	if results[1] then
		toolkit.values(word, table.unpack(results, 2, results.n))
	else
		toolkit.trace(word, "raises")
	end
end

--- One turn of the loop, at most some milliseconds.
function toolkit.turn()
	local ok, err = server.loop(true)
	if not ok and err == "timeout" then
		socket.sleep(0.001)
	end
end

--- Turns until `fn` answers something true; writes down when it does not.
function toolkit.wait(fn, seconds)
	local deadline <const> = socket.gettime() + (seconds or 2)
	repeat
		local value = fn()
		if value then
			return value
		end
		toolkit.turn()
	until socket.gettime() > deadline
	toolkit.trace("timed out")
end

--- Turns for a time.
function toolkit.idle(seconds)
	local deadline <const> = socket.gettime() + (seconds or 0.02)
	repeat
		toolkit.turn()
	until socket.gettime() > deadline
end

--- A line about a callback, unless the probe wants none.
function toolkit.hear(extra, ...)
	if not extra.quiet then
		toolkit.values(...)
	end
end

local always <const> = { "connect", "incoming", "disconnect", "attach", "detach", "status" }

--- A listener table that writes down what it hears.
-- @param label word before each line
-- @param extra optional callbacks, called after; `also` = list of further events to hear,
-- `quiet` = true: counts only
-- @return listeners and record { count = { event = n }, data, conn }
function toolkit.listeners(label, extra)
	extra = extra or {}
	local record <const> = { count = {}, data = "" }
	local listeners <const> = {}
	local function hear(event)
		listeners["on" .. event] = function (conn, ...)
			handles[conn] = true
			record.conn = conn
			record.count[event] = (record.count[event] or 0) + 1
			if event == "incoming" then
				record.data = record.data .. (... or "")
			end
			if event == "disconnect" then -- no argument is as good as nil
				toolkit.hear(extra, label .. " ondisconnect", (...))
			else
				toolkit.hear(extra, label .. " on" .. event, ...)
			end
			local after <const> = extra["on" .. event]
			if after then
				return after(conn, ...)
			end
		end
	end
	for _, event in ipairs(always) do hear(event) end
	for _, event in ipairs(extra.also or {}) do hear(event) end
	for name, fn in pairs(extra) do
		if name:find("^on") and not listeners[name] then
			listeners[name] = fn
		end
	end
	return listeners, record
end

--- A port that nobody has at the moment.
function toolkit.free_port(addr)
	local probe <const> = assert(socket.bind(addr or "127.0.0.1", 0))
	local _, port = probe:getsockname()
	probe:close()
	return tonumber(port)
end

--- To be destroyed after the probe.
function toolkit.keep(handle, ...)
	if handle then
		handles[handle] = true
	end
	return handle, ...
end

--- To be closed after the probe.
function toolkit.keep_socket(object, ...)
	sockets[#sockets + 1] = object
	return object, ...
end

--- A listening handle.
-- @return handle, port, record
function toolkit.serve(label, extra, config)
	local port <const> = toolkit.free_port()
	local listeners, record = toolkit.listeners(label, extra)
	local handle <const> = toolkit.keep(assert(
		server.listen("127.0.0.1", port, listeners, config)))
	return handle, port, record
end

--- A raw peer, connected.
function toolkit.peer(port)
	local peer <const> = toolkit.keep_socket(assert(socket.connect("127.0.0.1", port)))
	peer:settimeout(0)
	return peer
end

--- An accepted connection and its raw peer.
-- @return handle, peer, record, listening handle
function toolkit.accept(label, extra, config)
	local listening, port, record = toolkit.serve(label, extra, config)
	local peer <const> = toolkit.peer(port)
	toolkit.wait(function () return record.count.connect end)
	return record.conn, peer, record, listening
end

--- A handle that connects, its record.
function toolkit.client(label, port, extra, ...)
	local listeners, record = toolkit.listeners(label, extra)
	local handle <const> = toolkit.keep(assert(
		server.addclient("127.0.0.1", port, listeners, ...)))
	return handle, record
end

--- Two connected handles.
-- @return accepted handle, its record, connecting handle, its record
function toolkit.pair(on_server, on_client, config)
	local _, port, accepted = toolkit.serve("server", on_server, config)
	local handle, record = toolkit.client("client", port, on_client)
	toolkit.wait(function () return accepted.count.connect and record.count.connect end)
	return accepted.conn, accepted, handle, record
end

--- Reads from a raw peer until `n` bytes have come, or the end.
-- @return data, "closed" at the end
function toolkit.read(peer, n)
	local got, ended = "", nil
	toolkit.wait(function ()
		local data, err, part = peer:receive(n - #got)
		got = got .. (data or part or "")
		ended = err == "closed" and err or nil
		return #got >= n or ended
	end)
	return got, ended
end

--- Sets network_settings for this probe.
function toolkit.config(settings)
	settings.max_wait = 0.02
	server.set_config(settings)
end

--- To be called once, before any probe.
function toolkit.setup(the_server)
	server, toolkit.server = the_server, the_server
	logger.add_simple_sink(function (_, _, message)
		toolkit.trace("log error:", message)
	end, { "error" })
	server.add_task(0.002, function () return 0.002 end)
end

--- Runs one probe from a clean table and cleans up after it.
function toolkit.run(name, probe)
	print("# " .. name)
	handles, sockets = {}, {}
	toolkit.config {}
	local ok, err = pcall(probe, toolkit)
	if not ok then
		toolkit.trace("probe raised:", err)
	end
	for handle in pairs(handles) do
		handle:destroy()
	end
	for _, object in ipairs(sockets) do
		object:close()
	end
	handles = {}
	local before <const> = print
	print = function () end -- luacheck: ignore 121
	toolkit.idle(0.004)
	print = before -- luacheck: ignore 121
end

return toolkit
