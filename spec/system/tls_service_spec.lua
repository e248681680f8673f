-- TLS of services in a daemon: certificates by name, names, reload, faults of the config.

local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local tls <const> = require "spec.support.tls"
local tls_reloads <const> = require "spec.support.tls_reloads"
local tls_service <const> = require "spec.support.tls_service"

local modules <const> = { secure = tls_service.module("secure"),
	upgrading = tls_service.module("upgrading", "starttls") }

local base <const> = [[
modules_enabled = { "admin_socket", "admin_shell", "secure" }
interfaces = { "127.0.0.1" }
]]

local subject <const> = tls_service.subject

describe("TLS of services", function ()
	local dir
	before_each(function () dir = process.temp_dir() end)
	after_each(function ()
		daemon.finish_all()
		client.close_all()
		process.remove_tree(dir)
	end)

	local function start(config, more)
		local spec = { config = base .. ('certificates = "%s"\n'):format(dir) .. (config or ""),
			modules = modules }
		for key, value in pairs(more or {}) do spec[key] = value end
		return daemon.start(spec)
	end

	it("uses the certificate of a service's name, and those of hosts for their names", function ()
		tls.make(dir, "secure")
		tls.make(dir, "a.example")
		require "posix.sys.stat".mkdir(dir .. "/b.example")
		local files = tls.make(dir, "x", { names = { "b.example" } })
		os.rename(files.certificate, dir .. "/b.example/fullchain.pem")
		os.rename(files.key, dir .. "/b.example/privkey.pem")
		tls.make(dir, "some-file", { names = { "c.example" } })
		local d = start [[
			VirtualHost "a.example"
			VirtualHost "b.example"
			VirtualHost "c.example"
		]]
		local port = d:port("secure")
		assert.equal("secure", subject(port))
		assert.equal("a.example", subject(port, "a.example"))
		assert.equal("x", subject(port, "b.example"))
		assert.equal("some-file", subject(port, "c.example"))
		assert.matches("unrecognized name", subject(port, "d.example"))
		for _, service in ipairs(d:status().services) do
			if service.service == "secure" then
				assert.equal("ssl", service.listeners[1].encryption)
			end
		end
	end)

	it("is reachable with curl's TLS, by ssl and SERVICE_ssl", function ()
		local one, two = tls.make(dir, "one"), tls.make(dir, "two")
		local d = start(([[
			ssl = { certificate = "%s", key = "%s" }
			secure_ssl = { certificate = "%s", key = "%s", protocol = "tlsv1_3" }
		]]):format(one.certificate, one.key, two.certificate, two.key))
		assert.equal("two", subject(d:port("secure")))
		local _, out = process.run { argv = { "curl", "-sk", "--http0.9", "-m", "2", "-d", "x\nq\n",
			("https://127.0.0.1:%d/"):format(d:port("secure")) } }
		assert.matches("^POST / HTTP/1.1 under TLS\n", out)
		local code = process.run { argv = { "curl", "-sk", "--http0.9", "-m", "2", "--tls-max", "1.2",
			("https://127.0.0.1:%d/"):format(d:port("secure")) } }
		assert.equal(35, code)
	end)

	it("lets a service with STARTTLS begin without a context of its own", function ()
		tls.make(dir, "upgrading")
		local d = start([[modules_enabled = { "admin_socket", "admin_shell", "upgrading" }]])
		local code, out = tls.python(d:port("upgrading"), nil,
			"s.sendall(b'hi\\n'); print(s.recv(100))",
			"raw.sendall(b'STARTTLS\\n'); assert raw.recv(3) == b'go\\n'")
		assert.equal(0, code, out)
		assert.equal("b'hi under TLS\\n'\n", out)
	end)

	it("takes a new certificate at a reload, keeps the old one when it is broken", function ()
		local files = tls.make(dir, "secure")
		local d = start()
		local port = d:port("secure")
		local before = client.tcp("127.0.0.1", port)
		assert.equal("secure", subject(port))
		tls.make(dir, "new", { names = { "secure" } })
		os.rename(dir .. "/new.crt", files.certificate)
		os.rename(dir .. "/new.key", files.key)
		assert.equal(0, (d:run("reload")))
		assert.equal("new", subject(port))
		process.write_file(files.key, "half a k")
		local code, _, err = d:run("reload")
		assert.not_equal(0, code)
		assert.matches("error loading private key", err)
		assert.equal("new", subject(port))
		before:close()
	end)

	it("fails no handshake while certificates are reloaded 100 times", function ()
		local result <const> = tls_reloads.run(100)
		assert.equal("", result.faults)
		assert.equal(2, result.certificates)
	end)

	it("does not listen without a certificate, says so, and does once there is one", function ()
		local d = start("", { fds = false, allow = { "no certificate for secure" } })
		d:wait_log("Service 'secure' does not listen: no certificate for secure port 0")
		tls.make(dir, "secure")
		assert.equal(0, (d:run("reload")))
		assert.equal("secure", subject(d:port("secure")))
	end)

	describe("checked", function ()
		local function check(text)
			process.write_file(dir .. "/gadwall.cfg.lua", ([[
				run_as_root = true
				runtime_path = "%s/run"
				plugin_paths = { "%s/modules" }
				certificates = "%s/certs"
				modules_enabled = { "secure" }
				interfaces = { "127.0.0.1" }
			]]):format(dir, dir, dir) .. text)
			local code, out, err = process.run {
				argv = { daemon.binary(), "check", "-c", dir .. "/gadwall.cfg.lua" },
			}
			return code, out .. err
		end

		before_each(function ()
			local stat <const> = require "posix.sys.stat"
			stat.mkdir(dir .. "/modules")
			stat.mkdir(dir .. "/certs")
			process.write_file(dir .. "/modules/mod_secure.lua", modules.secure)
		end)

		it("is without a fault when all is well", function ()
			tls.make(dir .. "/certs", "secure")
			local code, out = check ""
			assert.equal(0, code, out)
		end)

		it("has a fault for a key that is not the certificate's, at its line", function ()
			local one, two = tls.make(dir, "one"), tls.make(dir, "two")
			local code, out = check(('ssl = { certificate = "%s",\n key = "%s" }\n'):format(
				one.certificate, two.key))
			assert.not_equal(0, code)
			assert.matches("gadwall.cfg.lua:7:%d+: error: TLS of ssl: .*key values mismatch", out)
		end)

		it("has a fault for the key of a host's own section, at its line there", function ()
			local one, two = tls.make(dir, "one"), tls.make(dir, "two")
			local code, out = check(('VirtualHost "a.test"\n ssl = { certificate = "%s", key = "%s" }\n')
				:format(one.certificate, two.key))
			assert.not_equal(0, code)
			assert.matches("gadwall.cfg.lua:8:2: error: TLS of ssl: .*key values mismatch", out)
		end)

		it("has a fault for such a key in the folder of certificates", function ()
			tls.make(dir .. "/certs", "secure")
			local two = tls.make(dir, "two")
			os.rename(two.key, dir .. "/certs/secure.key")
			local code, out = check ""
			assert.not_equal(0, code)
			assert.matches("error: TLS of secure port 0: .*key values mismatch", out)
		end)

		it("has a fault for files that are not there, and for those out of date", function ()
			local one = tls.make(dir, "one", { days = -1 })
			local _, out = check(('ssl = { certificate = "%s/none.crt", key = "%s" }\n'):format(dir,
				one.key))
			assert.matches("certificate: .*none.crt: No such file or directory", out)
			_, out = check(('secure_ssl = { certificate = "%s", key = "%s" }\n'):format(
				one.certificate, one.key))
			assert.matches("gadwall.cfg.lua:7:%d+: error: .*one.crt is valid from .* only", out)
		end)

		it("has a fault for settings that OpenSSL does not take", function ()
			local one = tls.make(dir, "one")
			local _, out = check(('ssl = { certificate = "%s", key = "%s", ciphers = "XYZ" }\n')
				:format(one.certificate, one.key))
			assert.matches("error setting cipher list %(no cipher match%)", out)
		end)
	end)
end)
