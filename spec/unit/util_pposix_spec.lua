local pposix <const> = require "util.pposix"
local stdio <const> = require "posix.stdio"
local unistd <const> = require "posix.unistd"

describe("util.pposix", function ()
	it("knows the process and the system", function ()
		assert.equal(unistd.getpid(), pposix.getpid())
		assert.equal(unistd.getuid(), pposix.getuid())
		assert.equal("Linux", pposix.uname().sysname)
		assert.is_true(pposix.meminfo().used > 0)
	end)

	it("reads and sets limits", function ()
		local ok, soft, hard = pposix.getrlimit("nofile")
		assert.is_true(ok)
		assert.is_true(pposix.setrlimit("NOFILE", soft, hard))
		assert.is_true(pposix.setrlimit("CORE", 0))
		assert.same({ true, 0 }, { table.unpack({ pposix.getrlimit("CORE") }, 1, 2) })
		assert.same({ false, "invalid-resource" }, { pposix.getrlimit("NOTHING") })
		assert.same({ false, "invalid-resource" }, { pposix.setrlimit("NOTHING", 1) })
	end)

	it("gives the umask back as it takes it", function ()
		local before = pposix.umask("027")
		assert.equal("027", pposix.umask(before))
	end)

	it("appends all or nothing", function ()
		local name = os.tmpname()
		local file = assert(io.open(name, "a+"))
		assert.is_true(pposix.atomic_append(file, "one"))
		assert.is_true(pposix.atomic_append(file, "two"))
		file:close()
		file = assert(io.open(name))
		assert.equal("onetwo", file:read "a")
		assert.is_nil((pposix.atomic_append(file, "read only")))
		assert.is_false(pposix.isatty(file))
		assert.is_false(pposix.isatty(stdio.fileno(file)))
		file:close()
		os.remove(name)
	end)

	it("leaves to the keeper what is the keeper's", function ()
		for _, what in ipairs { "daemonize", "setuid", "setgid", "initgroups" } do
			local ok, err = pposix[what](0)
			assert.is_nil(ok)
			assert.matches("is the keeper's", err)
		end
	end)

	it("writes to syslog under a facility that exists", function ()
		assert.has_error(function () pposix.syslog_open("spec", "nowhere") end)
		pposix.syslog_open("gadwall-spec", "user")
		pposix.syslog_setminlevel("error")
		pposix.syslog_log("debug", "source", "not sent")
		pposix.syslog_setminlevel("debug")
		pposix.syslog_close()
	end)
end)
