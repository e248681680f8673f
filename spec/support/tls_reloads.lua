--- Certificates that change under handshakes: a daemon, a loop of clients, one console session.

local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local tls <const> = require "spec.support.tls"
local tls_service <const> = require "spec.support.tls_service"
local wait <const> = require "spec.support.wait"

local tls_reloads <const> = {}

-- Handshakes without a session, a word each way, until the file `stop` is there. Writes how many
-- there were, how many certificates they saw, and what failed.
local loop <const> = [[
import os, socket, ssl, time
c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
c.check_hostname = False
c.verify_mode = ssl.CERT_NONE
count, seen, faults, spec = 0, set(), [], os.getppid()
while not os.path.exists("stop") and os.getppid() == spec:
    try:
        with c.wrap_socket(socket.create_connection(("127.0.0.1", %d), 60)) as s:
            seen.add(s.getpeercert(True))
            s.sendall(b"x\n")
            word = s.recv(100)
            if word != b"x under TLS\n":
                raise OSError("heard %%r" %% word)
    except OSError as fault:
        faults.append(repr(fault))
    count += 1
    if count == 1:
        open("began", "w").close()
print(count, len(seen), *faults[:3], sep="\n")
]]

local function begin_clients(d, port)
	local child <const> = process.spawn { argv = { "python3", "-c", loop:format(port) }, cwd = d.dir,
		stdout = d.dir .. "/clients", stderr = d.dir .. "/clients" }
	wait.until_true(function () return process.read_file(d.dir .. "/began") end, 60, "a handshake")
	return function ()
		process.write_file(d.dir .. "/stop", "")
		assert(child:wait_exit(90) == 0, process.read_file(d.dir .. "/clients"))
		local text <const> = process.read_file(d.dir .. "/clients")
		local count, seen, faults = text:match "^(%d+)\n(%d+)\n(.*)$"
		return { handshakes = tonumber(count), certificates = tonumber(seen), faults = faults }
	end
end

-- Certificate and key of the one, then of the other: the pair is complete when the reload begins.
local function exchange(pairs_of, files)
	local one <const> = table.remove(pairs_of, 1)
	pairs_of[#pairs_of + 1] = one
	for kind, text in pairs(one) do
		process.write_file(files[kind] .. ".new", text)
		os.rename(files[kind] .. ".new", files[kind])
	end
end

--- Reloads the config `count` times, each time with the other of two certificates, by `config
--- reload` in one session of the console (what `gadwall reload` says there), while clients shake
--- hands without a pause.
---@param count integer
---@param over function|nil () → boolean: ends it before
---@return table reloads, handshakes, certificates (number of different ones), faults (text; "" if
--- none)
function tls_reloads.run(count, over)
	local dir <const> = process.temp_dir()
	local files <const> = tls.make(dir, "secure")
	local other <const> = tls.make(dir, "other", { names = { "secure" } })
	local texts <const> = {}
	for i, one in ipairs { other, files } do
		texts[i] = { certificate = process.read_file(one.certificate), key = process.read_file(one.key) }
	end
	local d <const> = daemon.start { modules = { secure = tls_service.module("secure") },
		config = ([[
			modules_enabled = { "admin_socket", "admin_shell", "secure" }
			interfaces = { "127.0.0.1" }; certificates = "%s"; log = { warn = "*console" }
		]]):format(dir) }
	local finish <const> = begin_clients(d, d:port("secure"))
	local console <const> = assert(client.unix(d:socket_path(), 60))
	local reloads = 0
	while reloads < count and not (over and over()) do
		reloads = reloads + 1
		exchange(texts, files)
		assert(console:send("config reload\n"))
		local answer <const> = console:expect("^%u%a+: ")
		assert(answer:find "^OK", ("reload %d: %s"):format(reloads, answer))
	end
	local result <const> = finish()
	result.reloads = reloads
	client.close_all()
	process.remove_tree(dir)
	return result
end

return tls_reloads
