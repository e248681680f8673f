--- The files that `gadwall new module` writes. $NAME, $PORT and $FOLDER are filled in, the last
-- with `folder` and its $DIR.

local templates <const> = { module = {}, spec = {}, config = {} }

templates.module.tcp = [[
-- mod_$NAME: answers lines on a TCP port. Try: nc localhost $PORT
local greeting <const> = module:get_option_string("$NAME_greeting", "hello")

-- Connection -> what came of a line whose end has not come yet.
local rest <const> = setmetatable({}, { __mode = "k" })

local listener <const> = {}

function listener.onconnect(conn)
	conn:write(greeting .. "\n")
end

function listener.onincoming(conn, data)
	local text <const> = (rest[conn] or "") .. data
	rest[conn] = text:match("[^\n]*$")
	for line in text:gmatch("([^\n]*)\n") do
		conn:write("you said: " .. line .. "\n")
	end
end

-- The host stops: the last words to each client. The host closes after the flush.
function listener.ongoodbye(conn, event)
	conn:write("goodbye: " .. (event.reason or "stopping") .. "\n")
end

module:provides("net", { default_port = $PORT, listener = listener })
]]

templates.module.http = [[
-- mod_$NAME: answers on HTTP. Try: curl http://localhost:5280/$NAME
module:depends("http")

local greeting <const> = module:get_option_string("$NAME_greeting", "hello")

module:provides("http", {
	route = {
		GET = function (event)
			event.response.headers.content_type = "text/plain"
			return greeting .. "\n"
		end,
	},
})
]]

templates.module.timer = [[
-- mod_$NAME: does something at intervals.
local interval <const> = module:get_option_period("$NAME_interval", 60)

local count = 0

-- What it does; the number is the seconds until the next time, nil ends it.
local function work()
	count = count + 1
	module:log("info", "tick %d", count)
	return interval
end

module:add_timer(interval, work)

-- A reload of the module keeps the count.
function module.save()
	return { count = count }
end

function module.restore(data)
	count = data.count
end
]]

-- Each spec runs a real host with the module in it.
local harness <const> = [[
-- gadwall lua "$(command -v busted)" THIS_FILE
local info <const> = require "host.info"
local json <const> = require "util.json"

local here <const> = (debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or ".")
local folder, config

-- Runs the program; returns what it printed and its exit status.
local function gadwall(words)
	local pipe <const> = io.popen(("'%s' -c '%s' %s 2>&1"):format(info.binary, config, words))
	local text <const> = pipe:read("a")
	local _, _, code = pipe:close()
	return text, code
end

local function start(options)
	local pipe <const> = io.popen("mktemp -d")
	folder = pipe:read("l")
	pipe:close()
	config = folder .. "/gadwall.cfg.lua"
	local file <const> = assert(io.open(config, "w"))
	local where <const> = here:sub(1, 1) == "/" and here or os.getenv("PWD") .. "/" .. here
	file:write(("plugin_paths = { %q }; runtime_path = %q; data_path = %q; run_as_root = true\n")
		:format(where, folder, folder), 'modules_enabled = { "admin_shell", "$NAME" }\n',
		('log = { info = %q }\n'):format(folder .. "/log"), options)
	file:close()
	local text <const>, code = gadwall "run --detach"
	assert(code == 0, text)
end

describe("mod_$NAME", function ()
	after_each(function ()
		local text, code = gadwall "stop --now"
		os.execute("rm -rf '" .. folder .. "'")
		assert.equal(0, code, text)
	end)
]]

templates.spec.tcp = harness .. [[

	it("greets and answers each line", function ()
		start "$NAME_ports = { 0 }; $NAME_interfaces = { '127.0.0.1' }\n"
		local ports <const> = json.decode((gadwall "--json shell port list"):match("{.*"))
		local port
		for _, row in ipairs(ports.result) do
			port = row.service == "$NAME" and row.port or port
		end
		local socket <const> = require "posix.sys.socket"
		local fd <const> = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
		assert(socket.connect(fd, { family = socket.AF_INET, addr = "127.0.0.1", port = port }))
		socket.send(fd, "one\ntwo\n")
		local got = ""
		while not got:find("two\n", 1, true) do
			local text <const> = socket.recv(fd, 1024)
			assert(text and text ~= "", "the connection ended: " .. got)
			got = got .. text
		end
		assert.equal("hello\nyou said: one\nyou said: two\n", got)
		require "posix.unistd".close(fd)
	end)
end)
]]

templates.spec.http = harness .. [[

	it("answers a GET", function ()
		start "http_ports = { 0 }; http_interfaces = { '127.0.0.1' }; https_ports = {}\n"
		local ports <const> = json.decode((gadwall "--json shell port list"):match("{.*"))
		local port
		for _, row in ipairs(ports.result) do
			port = row.service == "http" and row.port or port
		end
		local socket <const> = require "posix.sys.socket"
		local fd <const> = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
		assert(socket.connect(fd, { family = socket.AF_INET, addr = "127.0.0.1", port = port }))
		socket.send(fd, "GET /$NAME HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		local got = ""
		repeat
			local text <const> = socket.recv(fd, 1024)
			got = got .. (text or "")
		until not text or text == ""
		assert.matches("^HTTP/1.1 200", got)
		assert.matches("hello\n$", got)
		require "posix.unistd".close(fd)
	end)
end)
]]

templates.spec.timer = harness .. [[

	it("works at intervals", function ()
		start "$NAME_interval = 0.05\n"
		local deadline <const> = os.time() + 5
		local text
		repeat
			local file <const> = assert(io.open(folder .. "/log"))
			text = file:read("a")
			file:close()
			os.execute("sleep 0.05")
		until text:find("tick 3", 1, true) or os.time() > deadline
		assert.matches("tick 3", text)
	end)
end)
]]

local enable <const> = [[
-- modules_enabled = { …, "$NAME" }
$FOLDER]]

--- For a folder that is not the built-in one.
templates.folder = [[
-- plugin_paths = { "$DIR" }    -- unless it is there already
]]

templates.config.tcp = enable .. [[
$NAME_ports = { $PORT }
$NAME_greeting = "hello"
]]
templates.config.http = enable .. [[
$NAME_greeting = "hello"
]]
templates.config.timer = enable .. [[
$NAME_interval = 60
]]

return templates
