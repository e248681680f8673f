-- Section server: version, uptime, memory, state, report, and the verbs of the lifecycle.

local lifecycle <const> = require "core.lifecycle"
local status <const> = require "core.status"
local status_text <const> = require "core.status_text"
local whole <const> = require "core.whole"

local server <const> = {}

local desc <const> = "the host: version, memory, drain, stop"
local no_args <const> = {}

-- What a refused verb is answered with: one line that says what to do.
local function answer(done, ok, reason, detail)
	if ok then
		return true, done
	end
	return nil, detail and detail.line or reason
end

-- One line for each state that an upgrade enters, while somebody waits for its outcome.
local function show_progress(session)
	local last
	return require "core.upgrades".watch(function (message)
		if message.state ~= last and message.state ~= "none" then
			last = message.state
			session.print(("upgrade %d: %s%s"):format(message.id, message.state,
				message.target ~= 0 and (" (generation %d)"):format(message.target) or ""))
		end
	end)
end

local function wait_outcome(self, promised, reason, detail)
	if not promised then
		return answer(nil, nil, reason, detail)
	end
	local unwatch <const> = show_progress(self.session)
	local outcome <const> = require "util.async".wait_for(promised)
	unwatch()
	if outcome.ok then
		return true, outcome.text, outcome
	end
	local keeper_call <const> = require "core.console.keeper_call"
	for _, fault in ipairs(outcome.faults or {}) do
		self.session.print(keeper_call.fault_line(fault))
	end
	return nil, outcome.line or "upgrade " .. outcome.text, outcome
end

local function upgrade(self, flags)
	return wait_outcome(self, lifecycle.upgrade(flags or {}))
end

local function rollback(self)
	return wait_outcome(self, lifecycle.rollback())
end

local function activate()
	return answer("serving", lifecycle.activate(nil, "console"))
end

local function print_status(self)
	local object <const> = status.build(whole.counts())
	for _, line in ipairs(status_text.render(object)) do
		self.session.print(line)
	end
	local healthy, why = status.healthy(object)
	return true, healthy and object.state or why, object
end

local function memory(self)
	local used <const> = status.memory()
	self.session.print("process: " .. status_text.bytes(used.rss_bytes))
	self.session.print("Lua:     " .. status_text.bytes(used.lua_bytes))
	return true, "memory of this worker", used
end

local function uptime()
	local seconds <const> = lifecycle.uptime()
	return true, ("running for %s (since %s)"):format(status_text.seconds(seconds),
		os.date("%Y-%m-%d %H:%M:%S", math.floor(prosody.start_time))), seconds
end

local function shutdown(_, reason, code)
	-- In the table at each use: a module may have replaced it.
	prosody.shutdown(reason, tonumber(code))
	return true, "Shutdown initiated"
end

-- Waits until nothing is in flight in this worker; an event wakes it, nothing polls.
local function wait_own_idle(session, service)
	local sessions <const> = require "core.sessions"
	local promise <const> = require "util.promise"
	if sessions.total(service) == 0 then
		return
	end
	local stop
	local idle <const> = promise.new(function (resolve)
		stop = sessions.on_fall(function ()
			if sessions.total(service) == 0 then
				resolve(true)
			end
		end, true)
		session.on_close(function () resolve(false) end)
	end)
	require "util.async".wait_for(idle)
	stop()
end

-- How often the other workers are asked (s): no event of theirs reaches us.
local ask_every <const> = 0.2

-- Waits until nothing is in flight in any worker.
local function wait_idle(session, service)
	local open = true
	session.on_close(function () open = false end)
	while open do
		wait_own_idle(session, service)
		local flight <const>, by_service <const> = status.in_flight(whole.counts())
		local left <const> = service and by_service[service] or not service and flight.total
		if (left or 0) == 0 then
			return
		end
		require "util.async".sleep(ask_every)
	end
end

local function drain(self, service, flags)
	flags = flags or {}
	local ok, reason, detail = lifecycle.drain(service, flags.reason, "console")
	if not ok then
		return answer(nil, ok, reason, detail)
	end
	if flags.wait then
		self.session.print("draining")
		wait_idle(self.session, service)
		return true, "drained: nothing is in flight"
	end
	return true, service and service .. " is draining" or "draining"
end

local function undrain(_, service)
	return answer(service and service .. " is ready again" or "serving",
		lifecycle.undrain(service, nil, "console"))
end

local drain_flags <const> = {
	{ name = "wait", help = "until nothing is in flight" },
	{ name = "reason", value = "TEXT", help = "for the log" },
}
local upgrade_flags <const> = {
	{ name = "check", help = "everything up to the commit, then nothing" },
	{ name = "binary", value = "PATH", help = "this program instead of the installed one" },
	{ name = "config", value = "FILE", help = "with this config" },
}
local service_arg <const> = { { name = "service", type = "service", optional = true } }

-- { name, help, args, handler, flags }
local rows <const> = {
	{ "version", "the version that runs", no_args, function ()
		return true, tostring(prosody.version)
	end },
	{ "uptime", "how long it has been running", no_args, uptime },
	{ "memory", "bytes of the process and of Lua", no_args, memory },
	{ "state", "state, phase, services, modules", no_args, print_status },
	{ "shutdown", "stops the host in phases",
		{ { name = "reason", optional = true }, { name = "code", type = "integer", optional = true } },
		shutdown },
	{ "drain", "not ready, still serving; reversible", service_arg, drain, drain_flags },
	{ "undrain", "ready again", service_arg, undrain },
	{ "upgrade", "a new binary without a lost request", no_args, upgrade,
		upgrade_flags },
	{ "rollback", "back to the previous generation", no_args, rollback },
	{ "activate", "a passive host becomes active", no_args, activate },
}

-- Those that are words of their own too: `status`, `drain` …
local as_words <const> = { state = "status", drain = "drain", undrain = "undrain",
	upgrade = "upgrade", rollback = "rollback", activate = "activate", version = "version",
	uptime = "uptime" }

local function command(row, section, name)
	return { section = section, section_desc = section and desc, name = name, desc = row[2],
		args = row[3], handler = row[4], flags = row[5] }
end

--- @return list of commands
function server.commands()
	local list <const> = {}
	for _, row in ipairs(rows) do
		list[#list + 1] = command(row, "server", row[1])
		if as_words[row[1]] then
			list[#list + 1] = command(row, nil, as_words[row[1]])
		end
	end
	return list
end

server.sources = {
	service = function ()
		local names <const> = {}
		for _, service in ipairs(require "core.portmanager".list()) do
			names[#names + 1] = service.service
		end
		return names
	end,
}

return server
