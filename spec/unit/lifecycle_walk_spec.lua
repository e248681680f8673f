-- The machine of core/lifecycle against its own tables: every illegal move, every refusal with its
-- reason, and ten thousand steps at random.

local machine <const> = require "spec.support.machine"
local shapes <const> = require "core.lifecycle_states"

-- How a new machine comes into each state by legal moves.
local ways <const> = {
	starting = {}, passive = { "passive" }, serving = { "serving" },
	draining = { "serving", "draining" }, finishing = { "serving", "draining", "finishing" },
	stopping = { "serving", "stopping" }, stopped = { "serving", "stopping", "stopped" },
}

local function in_state(state)
	local m <const> = machine.new()
	for _, to in ipairs(ways[state]) do
		m.life.enter(to, "spec")
	end
	assert.equal(state, m.lifecycle.state())
	return m
end

describe("the one setter of the lifecycle", function ()
	for _, from in ipairs(shapes.names) do
		for _, to in ipairs(shapes.names) do
			if not shapes.legal[from][to] then
				it(("refuses to go from %s to %s and stays where it is"):format(from, to), function ()
					local m <const> = in_state(from)
					local moves <const> = #m.moves
					local ok, err = pcall(m.life.enter, to, "spec")
					assert.is_false(ok)
					assert.truthy(err:find(("the lifecycle has no move from %s to %s"):format(from, to), 1,
						true), err)
					assert.equal(from, m.lifecycle.state())
					assert.equal(moves, #m.moves)
				end)
			end
		end
	end
end)

-- The function of core.lifecycle for a verb, and its arguments.
local calls <const> = {
	drain = { "drain" }, undrain = { "undrain" }, finish = { "finish" }, activate = { "activate" },
	abort = { "abort" }, extend = { "extend", 1 }, upgrade = { "upgrade" }, rollback = { "rollback" },
}

local function call(m, verb)
	local how <const> = calls[verb]
	return m.lifecycle[how[1]](table.unpack(how, 2))
end

-- A stop that has a record, as any real one.
local really <const> = {}

function really.stopping()
	local m <const> = machine.new()
	m.events.add_handler("server-stopping", function (event) event:hold("spec", 5) end)
	m.start()
	m.lifecycle.stop("spec")
	return m
end

local function stopped(m)
	m.lifecycle.stop("spec", nil, { now = true })
	for _ = 1, 500 do
		if m.lifecycle.state() == "stopped" then break end
		m.turn(0.01)
	end
	return m
end

function really.stopped()
	return stopped(really.stopping())
end

local done <const> = { run = true, noop = true, later = true, stop = true, hurry = true }

describe("a verb that a state does not allow", function ()
	for verb, answers in pairs(shapes.verbs) do
		for _, state in ipairs(shapes.names) do
			local what <const> = answers[state]
			if calls[verb] and not done[what] then
				local name <const> = ("%s while %s is refused as %s, in a line"):format(verb, state, what)
				it(name, function ()
					local m <const> = (really[state] or in_state)(state)
					assert.equal(state, m.lifecycle.state())
					local ok, reason, detail = call(m, verb)
					assert.is_nil(ok)
					assert.equal(what, reason)
					assert.equal(state, detail.state)
					assert.truthy(detail.line:match("^cannot " .. verb .. ": .+ %(.+%)$"), detail.line)
					assert.equal(state, m.lifecycle.state())
					if state == "stopping" and m.lifecycle.stop_status() then
						stopped(m) -- or its timers end it in the middle of another one
					end
				end)
			end
		end
	end
end)

-- Ten thousand steps ------------------------------------------------------------------------------

local steps <const> = {}

-- What the table says about a verb here; the two reasons that depend on more than the state.
local function expected(m, verb)
	local what = m.states.verbs[verb][m.lifecycle.state()]
	return done[what], what
end

local excuses <const> = {
	["listener-closed"] = true, ["teardown-begun"] = true, ["starting"] = true, ["no-keeper"] = true,
}

for verb in pairs(calls) do
	steps[#steps + 1] = function (m)
		local may, what = expected(m, verb)
		local before <const> = m.lifecycle.state()
		local ok, reason = call(m, verb)
		local where <const> = verb .. " while " .. before
		if not may then
			assert.is_nil(ok, where)
			assert.equal(what, reason, where)
		elseif not ok then
			assert.truthy(excuses[reason], where .. ": " .. tostring(reason))
			assert.truthy(before == "finishing" or before == "stopping" or reason == "no-keeper",
				where .. ": " .. reason)
		end
	end
end

local function stop(options)
	return function (m)
		local before <const> = m.lifecycle.state()
		assert.is_true(m.lifecycle.stop("walk", nil, options))
		assert.equal(before == "stopped" and "stopped" or "stopping", m.lifecycle.state())
	end
end
steps[#steps + 1] = stop()
steps[#steps + 1] = stop { now = true }
for i = 1, #steps * 5 do
	steps[#steps + 1] = steps[i % 7 + 1] -- the verbs again: an end is the rarer step
end
for _ = 1, 24 do
	steps[#steps + 1] = function (m) m.turn(math.random() < 0.1 and 0.005 or 0) end
end

local function new_host()
	local m <const> = machine.new()
	m.events.add_handler("server-stopping", function (event)
		if math.random() < 0.5 then
			event:hold("walk", math.random() * 0.02)
		end
	end)
	local release <const> = math.random() < 0.3 and m.event:hold("walk")
	m.start()
	if release then
		m.late = release
	end
	return m
end

local function told(m)
	local words <const> = {}
	for i, move in ipairs(m.moves) do words[i] = move[1] .. " -> " .. move[2] end
	return table.concat(words, ", ")
end

-- Moves are legal and follow each other.
local function check_moves(m)
	local at = "starting"
	for _, move in ipairs(m.moves) do
		assert.equal(at, move[1], told(m))
		assert.is_true(m.states.legal[move[1]][move[2]], move[1] .. " -> " .. move[2])
		at = move[2]
	end
	assert.equal(at, m.lifecycle.state())
end

describe("the lifecycle", function ()
	it("makes only legal moves in 10,000 steps at random", function ()
		local seed <const> = tonumber(os.getenv("GADWALL_SEED")) or os.time()
		print("seed " .. seed .. " (GADWALL_SEED)")
		math.randomseed(seed)
		local m, lives, ended = new_host(), 1, 0
		for _ = 1, 10000 do
			steps[math.random(#steps)](m)
			if m.late and math.random() < 0.2 then
				m.late()
				m.late = nil
			end
			if m.lifecycle.state() == "stopped" then
				check_moves(m)
				assert.is_table(m.lifecycle.report())
				ended = ended + 1
				if math.random() < 0.5 then
					m, lives = new_host(), lives + 1
				end
			end
		end
		check_moves(m)
		assert.is_true(ended > 10, ended .. " of " .. lives .. " hosts ended")
	end)
end)
