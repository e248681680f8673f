-- net.server beside Prosody's own server_epoll, live: both run the probes of
-- spec/support/differential/ and write down what they saw; the traces are equal line by line, but
-- for what differences.lua there lists with the fact's number.

local differences <const> = require "spec.support.differential.differences"
local probes <const> = require "spec.support.differential.probes"
local process <const> = require "spec.support.process"
local tls <const> = require "spec.support.tls"
local unistd <const> = require "posix.unistd"

local gadwall <const> = os.getenv("GADWALL") or "build/test/gadwall"
local boot <const> = "spec/support/differential/boot.lua"
local most_seconds <const> = 50

local function prosody_folder()
	for _, folder in ipairs { ".deps/peers/usr/lib/prosody", "/usr/lib/prosody" } do
		if unistd.access(folder .. "/net/server_epoll.lua") then
			return folder
		end
	end
end

-- Where LuaSec is, for Prosody's side of TLS: the additions to package.path and package.cpath.
local function luasec()
	for _, root in ipairs { ".deps/peers/usr", "/usr" } do
		local found <const> = io.popen("echo " .. root .. "/lib/*/lua/5.4/ssl.so")
		local path <const> = found:read("l")
		found:close()
		if unistd.access(path) then
			return root .. "/share/lua/5.4/?.lua;;", path:gsub("ssl%.so$", "?.so;;")
		end
	end
end

-- The lines below each "# probe".
local function split(text)
	local traces, lines <const> = {}, {}
	local current = lines
	for line in text:gmatch("[^\n]+") do
		local name <const> = line:match("^# (.*)")
		if name then
			current = {}
			traces[name] = current
		else
			current[#current + 1] = line
		end
	end
	return traces, lines
end

local function find(lines, block)
	for at = 1, #lines - #block + 1 do
		local same = true
		for i = 1, #block do
			same = same and lines[at + i - 1] == block[i]
		end
		if same then return at end
	end
end

-- Their trace as ours is meant to be.
local function expected(probe, lines)
	for _, difference in ipairs(differences) do
		if difference.probe == probe then
			local at <const> = find(lines, difference.theirs)
			if not at then
				error(("Prosody does not say '%s' (%s: %s) but:\n%s"):format(
					difference.theirs[1], difference.fact, difference.why,
					table.concat(lines, "\n")))
			end
			local changed <const> = table.move(lines, 1, at - 1, 1, {})
			table.move(difference.ours, 1, #difference.ours, #changed + 1, changed)
			table.move(lines, at + #difference.theirs, #lines, #changed + 1, changed)
			lines = changed
		end
	end
	return lines
end

describe("net.server beside Prosody's", function ()
	local folder <const> = prosody_folder()
	if not folder then
		pending("needs prosody")
		return
	end

	local theirs, ours
	local path <const>, cpath <const> = luasec()

	setup(function ()
		local dir <const> = process.temp_dir()
		local certificate <const> = path and dir .. "/localhost" or "-"
		if path then
			tls.make(dir, "localhost")
		end
		local function start(name, argv)
			return process.spawn {
				argv = argv, stdout = dir .. "/" .. name, stderr = dir .. "/" .. name .. ".err",
				env = name == "theirs" and { LUA_PATH = path, LUA_CPATH = cpath } or nil,
			}
		end
		local runs <const> = {
			theirs = start("theirs", { "lua5.4", boot, "prosody", folder, certificate }),
			ours = start("ours", { gadwall, "lua", boot, "gadwall", "-", certificate }),
		}
		local function finish(name)
			local run <const> = { exit = runs[name]:wait_exit(most_seconds) }
			runs[name]:destroy()
			run.err = process.read_file(dir .. "/" .. name .. ".err")
			run.traces, run.stray = split(process.read_file(dir .. "/" .. name) or "")
			return run
		end
		theirs, ours = finish("theirs"), finish("ours")
		process.remove_tree(dir)
	end)

	it("is run to the end on both sides, and nothing is said beside the traces", function ()
		for _, run in ipairs { theirs, ours } do
			assert.equal("", run.err)
			assert.equal(0, run.exit)
			assert.same({}, run.stray)
			assert.is_table(run.traces["end"])
		end
	end)

	it("is asked by each probe under a name of its own, and each difference names a probe",
		function ()
			local names <const> = {}
			for _, probe in ipairs(probes) do
				assert.is_nil(names[probe[1]], probe[1])
				names[probe[1]] = true
			end
			for _, difference in ipairs(differences) do
				assert.is_true(names[difference.probe], difference.probe)
				assert.matches("^1%.[1-9]$", difference.fact)
			end
		end)

	for _, probe in ipairs(probes) do
		local name <const> = probe[1]
		if probe.secure and not path then
			pending("needs lua-sec: " .. name)
			goto next
		end
		it("sees what Prosody sees: " .. name, function ()
			assert.same(expected(name, theirs.traces[name] or { "not run" }),
				ours.traces[name] or { "not run" })
		end)
		::next::
	end
end)
