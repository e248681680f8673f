-- The units that are installed: systemd reads them, and the service is hardened.
local process <const> = require "spec.support.process"
local daemon <const> = require "spec.support.daemon"

local has_analyze <const> =
	(process.run { argv = { "sh", "-c", "command -v systemd-analyze" } }) == 0

describe("contrib/systemd", function ()
	local dir

	before_each(function ()
		dir = process.temp_dir()
		local unit <const> = process.read_file("contrib/systemd/gadwall.service")
		process.write_file(dir .. "/gadwall.service",
			(unit:gsub("@PREFIX@/bin/gadwall", daemon.binary())))
		process.write_file(dir .. "/low.service", (unit:gsub("@PREFIX@", "/usr")
			:gsub("\nAmbientCapabilities=\nCapabilityBoundingSet=\n", "\n")
			:gsub("# (%a+=CAP_NET_BIND_SERVICE)", "%1")))
		process.write_file(dir .. "/gadwall.socket",
			process.read_file("contrib/systemd/gadwall.socket"))
	end)
	after_each(function () process.remove_tree(dir) end)

	local function exposure(unit)
		local _, out, err = process.run { timeout = 60, argv = { "systemd-analyze", "security",
			"--offline=true", dir .. "/" .. unit } }
		return tonumber((out:match("exposure level for %S+ (%d+%.%d+)"))) or error(out .. err)
	end

	it("has an exposure of at most 1.6, also with ports below 1024", function ()
		if not has_analyze then pending("no systemd-analyze") return end
		assert.is_true(exposure("gadwall.service") <= 1.6)
		assert.is_true(exposure("low.service") <= 1.6)
	end)

	it("is understood by systemd", function ()
		if not has_analyze then pending("no systemd-analyze") return end
		local _, out, err = process.run { timeout = 60, argv = { "systemd-analyze", "verify",
			"--man=no", dir .. "/gadwall.service", dir .. "/gadwall.socket" } }
		for line in (out .. err):gmatch("[^\n]+") do
			assert.is_nil(line:find("gadwall%.s%a+:%d*:?.*Unknown"), line)
			assert.is_nil(line:find("Failed to parse", 1, true), line)
		end
	end)
end)
