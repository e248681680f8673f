--- Certificates made by openssl, contexts over them, and peers that run beside the spec's loop.

local process <const> = require "spec.support.process"
local server <const> = require "net.server"
local turns <const> = require "spec.support.turns"

local tls <const> = {}

local function openssl(...)
	local code, _, err = process.run { argv = { "openssl", ... }, timeout = 30 }
	if code ~= 0 then error("openssl: " .. err, 2) end
end

--- Makes DIR/NAME.crt and DIR/NAME.key.
---@param opts table|nil names (list for the alternative names; default NAME), ca (name of a
--- certificate here that signs), days (default 30; negative: out of date), is_ca
function tls.make(dir, name, opts)
	opts = opts or {}
	local names = {}
	for i, alternative in ipairs(opts.names or { name }) do names[i] = "DNS:" .. alternative end
	local base <const> = dir .. "/" .. name
	openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out",
		base .. ".key")
	openssl("req", "-new", "-key", base .. ".key", "-subj", "/CN=" .. name, "-out", base .. ".csr")
	process.write_file(base .. ".ext", ("subjectAltName=%s\nbasicConstraints=CA:%s\n"):format(
		table.concat(names, ","), opts.is_ca and "TRUE" or "FALSE"))
	local sign <const> = { "x509", "-req", "-in", base .. ".csr", "-extfile", base .. ".ext",
		"-days", tostring(opts.days or 30), "-out", base .. ".crt" }
	if opts.ca then
		table.move({ "-CA", dir .. "/" .. opts.ca .. ".crt", "-CAkey", dir .. "/" .. opts.ca .. ".key",
			"-CAcreateserial" }, 1, 5, #sign + 1, sign)
	else
		table.move({ "-signkey", base .. ".key" }, 1, 2, #sign + 1, sign)
	end
	openssl(table.unpack(sign))
	return { certificate = base .. ".crt", key = base .. ".key" }
end

--- A context; raises where there is none.
---@param mode string "server" or "client"
---@param ... table settings
function tls.context(mode, ...)
	local builder <const> = server.tls_builder():apply { mode = mode, protocol = "tlsv1_2+" }
	for _, settings in ipairs { ... } do builder:apply(settings) end
	return assert(builder:build())
end

--- Runs a program beside this process's loop.
---@return integer exit status
---@return string what it wrote
function tls.peer(argv, seconds)
	local dir <const> = process.temp_dir()
	process.write_file(dir .. "/in", "")
	local child <const> = process.spawn { argv = argv, stdout = dir .. "/out",
		stderr = dir .. "/out" }
	local ended <const> = turns.run_until(function () return child:status() end, seconds or 20,
		argv[1])
	local out <const> = process.read_file(dir .. "/out") or ""
	process.remove_tree(dir)
	return ended.exit or -1, out
end

--- A client of Python's ssl: connects to `port` with SNI `name`, then runs `script`, which sees
-- `s` (the socket) and `raw`.
---@param before string|nil Python that sees `c` (the context) and `raw` before the handshake
function tls.python(port, name, script, before)
	return tls.peer { "python3", "-c", ([[
import ssl, socket, sys, time
c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
c.check_hostname = False
c.verify_mode = ssl.CERT_NONE
raw = socket.create_connection(("127.0.0.1", %d), 10)
%s
s = c.wrap_socket(raw, server_hostname=%s)
%s
]]):format(port, before or "", name and ("%q"):format(name) or "None", script) }
end

return tls
