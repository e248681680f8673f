-- "A new worker of several died of SIGBUS where the runtime folder's disk was full, and with it the
-- upgrade: the page of counts that they share was a file without blocks."

local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local unistd <const> = require "posix.unistd"

describe("regress: the page that workers share", function ()
	it("is refused on a full disk, and kills nobody", function ()
		local unshare <const> = unistd.geteuid() == 0 and "unshare -m" or "unshare -rm"
		local dir <const> = process.temp_dir()
		local code <const>, out, err = process.run { argv = { "sh", "-c", unshare .. [[ sh -c '
			mount -t tmpfs -o size=64k none "$1" && cd "$1" || exit 9
			dd if=/dev/zero of=fill bs=4096 >dd 2>&1
			"$2" lua -e "local ok, err = require [=[host.net]=].share([=[$1/page]=], 1)
				print(ok, err)"
			rm fill
			"$2" lua -e "print(require [=[host.net]=].share([=[$1/page]=], 1))"
		' sh "$0" "$1"]], dir, daemon.binary() } }
		assert.equal("nil\tno space left on device\ntrue\n", out .. err)
		assert.equal(0, code)
	end)
end)
