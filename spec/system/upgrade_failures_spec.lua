-- Every failure leaves the old generation as it was, and able to upgrade at once. tableflip's
-- list: TestUpgraderFailures (exec fails, child exits, child hangs,
-- repeated), and what neither it nor endless tests: endless ends its parent when exec fails.
local daemon <const> = require "spec.support.daemon"
local failing <const> = require "spec.support.upgrade_failing"
local process <const> = require "spec.support.process"
local stat <const> = require "posix.sys.stat"
local upgrade <const> = require "spec.support.upgrade"

local fails <const>, good <const> = failing.fails, failing.good
local start <const> = failing.start

describe("an upgrade that fails", function ()
	after_each(upgrade.finish)

	it("because its program cannot be run changes nothing", function ()
		local d <const> = start()
		local f <const> = d.folder
		fails(d, "failed in check: .*/next: No such file or directory")
		process.write_file(f .. "/text", "no program")
		upgrade.link(f .. "/text", d.next)
		fails(d, "failed in check: .*/next: not executable")
		stat.chmod(f .. "/text", 493)
		fails(d, "failed in check: the program cannot be run, the log has the reason")
		d:wait_log "cannot start: .*/text cannot be run: Exec format error"
		process.write_file(f .. "/script", "#!/bin/sh\nexit 0\n")
		stat.chmod(f .. "/script", 493)
		upgrade.link(f .. "/script", d.next)
		fails(d, "failed in check: ")
		d:wait_log "cannot start: .*/script cannot be run: a script, or its loader is missing"
		assert(process.run { argv = { "sh", "-c", "head -c 4096 \"$1\" > \"$2\" && chmod 755 \"$2\"",
			"sh", daemon.binary(), f .. "/cut" } } == 0)
		upgrade.link(f .. "/cut", d.next)
		fails(d, "failed in check: ")
		-- of another machine (e_machine), else whole
		assert(process.run { argv = { "sh", "-c", [[cp "$1" "$2" && chmod 755 "$2" &&
			printf '\377\377' | dd of="$2" bs=1 seek=18 conv=notrunc 2>/dev/null]], "sh", daemon.binary(),
			f .. "/foreign" } } == 0)
		upgrade.link(f .. "/foreign", d.next)
		fails(d, "failed in check: the program cannot be run, the log has the reason")
		upgrade.link("/bin/true", d.next)
		fails(d, "failed in check: the reader handed nothing over")
		upgrade.link(f, d.next)
		fails(d, "failed in check: .*/next: not a regular file")
		upgrade.link(d.next, d.next)
		fails(d, "failed in check: .*/next: .*symbolic links")
		good(d)
		upgrade.stop(d)
	end)

	it("because of its config says what is wrong, and nothing changes", function ()
		local d <const> = start()
		upgrade.link(daemon.binary(), d.next)
		upgrade.reconfigure(d, "lamduck_period = 3")
		fails(d, "lameduck_period")
		upgrade.reconfigure(d, false)
		fails(d, "gadwall.cfg.lua:%d+")
		upgrade.reconfigure(d, 'modules_enabled = { "no_such_module" }')
		fails(d, "no_such_module")
		upgrade.reconfigure(d, 'runtime_path = "/tmp"')
		fails(d, "runtime_path cannot change in an upgrade")
		upgrade.reconfigure(d, "")
		d:write_module("path", "error 'boom'")
		fails(d, "failed in load: .*module 'path' does not load: .*boom")
		d:write_module("path", failing.listens)
		good(d)
		upgrade.stop(d)
	end)

	it("because a port is in use changes nothing", function ()
		local d <const> = start()
		upgrade.link(daemon.binary(), d.next)
		local taken <const> = daemon.start { config = [[
			modules_enabled = { "echo" }; echo_ports = { 0 }; echo_interfaces = { "127.0.0.1" }]] }
		upgrade.reconfigure(d, ("path_ports = { %d }; path_interfaces = { '127.0.0.1' }"):format(
			taken:port "echo"))
		fails(d, "failed in load: .*cannot listen on .* for service 'path': address already in use")
		upgrade.reconfigure(d, "")
		good(d)
		taken:stop()
		upgrade.stop(d)
	end)
end)
