local states <const> = require "core.lifecycle_states"

describe("core.lifecycle_states", function ()
	-- The legal moves, written out a second time on purpose.
	local legal <const> = {
		["starting serving"] = true, ["starting passive"] = true, ["starting stopping"] = true,
		["passive serving"] = true, ["passive stopping"] = true,
		["serving draining"] = true, ["serving stopping"] = true,
		["draining serving"] = true, ["draining finishing"] = true, ["draining stopping"] = true,
		["finishing draining"] = true, ["finishing stopping"] = true, ["finishing stopped"] = true,
		["stopping serving"] = true, ["stopping stopped"] = true,
	}

	for _, from in ipairs(states.names) do
		for _, to in ipairs(states.names) do
			local yes <const> = legal[from .. " " .. to] or false
			it(("%s the move from %s to %s"):format(yes and "allows" or "refuses", from, to), function ()
				assert.equal(yes, states.legal[from][to] or false)
			end)
		end
	end

	it("has one of Prosody's four words for every state", function ()
		local words <const> = { starting = true, running = true, stopping = true, stopped = true }
		for _, name in ipairs(states.names) do
			assert.truthy(words[states.prosody_word[name]], name)
		end
	end)

	it("has an answer for every verb in every state", function ()
		for verb, answers in pairs(states.verbs) do
			for _, name in ipairs(states.names) do
				assert.truthy(answers[name], verb .. " while " .. name)
			end
		end
	end)

	it("refuses in one line that names the reason and what can be done", function ()
		local done <const> = { run = 1, noop = 1, later = 1, hurry = 1, stop = 1 }
		for verb, answers in pairs(states.verbs) do
			for _, name in ipairs(states.names) do
				local what = answers[name]
				if not done[what] then
					local line = states.refusal(verb, what, { phase = "quit", left = 3 })
					assert.truthy(line:match("^cannot " .. verb .. ": .+ %(.+%)$"), line)
					assert.is_nil(line:find("\n", 1, true))
					assert.is_nil(line:find("%%"))
				end
			end
		end
	end)

	it("says which phase runs and how long it still has", function ()
		assert.equal("cannot reload: stopping (phase close-clients, 12 s left) "
			.. "(wait for the end, or run 'gadwall stop --abort')",
			states.refusal("reload", "stopping", { phase = "close-clients", left = 11.8 }))
	end)
end)

describe("core.signals_map", function ()
	local signals_map <const> = require "core.signals_map"

	it("has the defaults of the design", function ()
		local map = signals_map.build()
		for _, name in ipairs { "SIGTERM", "SIGINT", "SIGQUIT" } do
			assert.equal("shutdown", signals_map.verb(map, name, "serving"))
		end
		assert.equal("reload", signals_map.verb(map, "SIGHUP", "serving"))
		assert.equal("finish", signals_map.verb(map, "SIGUSR1", "draining"))
		assert.equal("upgrade", signals_map.verb(map, "SIGUSR2", "serving"))
		assert.equal("hammer", signals_map.verb(map, "SIGUSR2", "stopping"))
		assert.is_nil(signals_map.verb(map, "SIGUSR2", "draining"))
	end)

	it("merges the config over the defaults and lets none remove an entry", function ()
		local map, faults = signals_map.build { usr1 = "drain", SIGINT = "none", SIGWINCH = "undrain" }
		assert.same({}, faults)
		assert.equal("drain", signals_map.verb(map, "SIGUSR1", "serving"))
		assert.is_nil(signals_map.verb(map, "SIGINT", "serving"))
		assert.equal("undrain", signals_map.verb(map, "SIGWINCH", "serving"))
		assert.equal("shutdown", signals_map.verb(map, "SIGTERM", "serving"))
	end)

	it("names each fault of the config", function ()
		local _, faults = signals_map.build {
			SIGTERM = "explode", SIGKILL = "shutdown", SIGHUP = { sleeping = "reload" },
		}
		table.sort(faults)
		assert.equal(3, #faults)
		assert.truthy(faults[1]:find("'sleeping' is no state", 1, true))
		assert.truthy(faults[2]:find("SIGKILL: cannot be caught", 1, true))
		assert.truthy(faults[3]:find("'explode' is no verb", 1, true))
	end)

	it("gives a signal of lameduck_signals that has no verb the verb shutdown", function ()
		local map = signals_map.build(nil, { "WINCH", "TERM" })
		assert.equal("shutdown", signals_map.verb(map, "SIGWINCH", "serving"))
	end)

	it("calls an empty lameduck_signals a fault", function ()
		local _, faults = signals_map.build(nil, {})
		assert.equal(1, #faults)
	end)

	it("lets only the default entries of SIGUSR1 and SIGUSR2 give way to a module", function ()
		local map = signals_map.build { SIGUSR2 = "hammer" }
		assert.is_true(signals_map.gives_way(map, "SIGUSR1"))
		assert.is_false(signals_map.gives_way(map, "SIGUSR2"))
		assert.is_false(signals_map.gives_way(map, "SIGTERM"))
	end)
end)

describe("core.report", function ()
	local report

	setup(function () report = require "core.report" end)

	local function stop(fields)
		local record = {
			reason = "SIGTERM", origin = "signal SIGTERM", evict = true, at = 0, seconds = 1.5,
			phases = {}, errors = {}, generation = 7,
		}
		for key, value in pairs(fields or {}) do record[key] = value end
		return record
	end

	local function phase(result)
		return { phase = "close-clients", seconds = 1, budget = 10, result = result, holders = {} }
	end

	it("exits with the first that applies: code, expired, failed, clean", function ()
		assert.equal(0, report.exit_status(stop()))
		assert.equal(0, report.exit_status(stop { code = 0 }))
		assert.equal(70, report.exit_status(stop { phases = { phase "failed" } }))
		assert.equal(75, report.exit_status(stop { phases = { phase "failed", phase "expired" } }))
		assert.equal(3, report.exit_status(stop { code = 3, phases = { phase "expired" } }))
	end)

	it("does not change the status for an error in a handler, but lists it", function ()
		local record = stop()
		report.error(record, "server-stopping", "foo", "mod_foo.lua:3: boom\nstack traceback: …")
		assert.equal(0, report.exit_status(record))
		local built = report.build(record)
		assert.same({ event = "server-stopping", module = "foo", error = "mod_foo.lua:3: boom" },
			built.errors[1])
	end)

	it("has every field of the interface, with null for what is unknown", function ()
		local json = require "util.json"
		local text = json.encode(report.build(stop { phases = { phase "clean" } }))
		local decoded = json.decode(text)
		for _, name in ipairs { "schema", "result", "exit", "reason", "origin", "verb", "evict",
			"generation", "started", "seconds", "phases", "holders", "errors", "lost", "hurried" } do
			assert.is_not_nil(decoded[name], name)
		end
		assert.truthy(text:find('"code":null', 1, true))
		assert.truthy(text:find('"holders":[]', 1, true))
		assert.same({ connections = 0, bytes_unsent = 0, jobs = 0 }, decoded.lost)
	end)

	it("lists who held a phase past its end", function ()
		local late = phase "expired"
		late.holders = { { module = "http", hold = "request", conn = "conn55d0", seconds = 10 } }
		local built = report.build(stop { phases = { late } })
		assert.same({ phase = "close-clients", module = "http", hold = "request",
			conn = "conn55d0", seconds = 10 }, built.holders[1])
	end)

	it("cuts itself to what the keeper's message holds", function ()
		local record = stop { reason = ("x"):rep(500) }
		for i = 1, 60 do report.error(record, "server-stopping", "foo" .. i, "boom") end
		local short = report.short(report.build(record))
		assert.is_true(#short <= 900)
		assert.truthy(short:find('"exit":0', 1, true))
	end)

	it("writes the file in one step", function ()
		local dir = os.tmpname()
		os.remove(dir)
		local path = dir .. ".json"
		report.publish(report.build(stop()), path)
		local file = assert(io.open(path))
		local text = file:read("a")
		file:close()
		os.remove(path)
		assert.truthy(text:match("^{.*}\n$"))
		assert.is_nil(io.open(path .. ".tmp"))
	end)
end)
