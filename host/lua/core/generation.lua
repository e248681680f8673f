--- This generation's part in an upgrade: what the keeper's commit messages (host/proc/commit.c)
-- mean to a worker.
--
--    joins ──take──> ──activate──> active ──yield──> ──yielded──> drains ──retire──> finishes
--                                    ^                  │            │
--                                    └──────resume──────┘            │
--                                    └────────take, activate─────────┘   (rollback)
--
-- yield     gates shut on what the other one has claimed, singletons stopped, the lock let go,
--           state saved and sent with the answer. Nothing that could not be taken back.
-- take      saved state restored, new addresses listen.
-- activate  gates open, lock taken, serving, singletons run.
-- yielded   the other one is the service: drains with its gates shut.
-- retire    lets go of the listeners, finishes its sessions, ends without evicting.
-- end       the same at once: its time is over.
-- lost      no keeper: whoever gets the lock is the service.

local active_lock <const> = require "core.active_lock"
local active_worker <const> = require "core.active_worker"
local async <const> = require "util.async"
local drained <const> = require "core.drained"
local handover <const> = require "core.handover"
local idle <const> = require "core.idle"
local log <const> = require "util.logger".init("upgrade")
local peers <const> = require "core.peers"
local singletons <const> = require "core.singletons"
local start <const> = require "core.start"
local time <const> = require "util.time"
local timer <const> = require "util.timer"

local generation <const> = {}

-- Whoever had the lock let it go when it acknowledged; this is for one that was killed (s).
local lock_wait <const> = 5

local life, keeper     -- given by init
local joins = false    -- loaded in an upgrade, not yet activated
local successor        -- number of the generation that has taken over, or nil
local was_drained      -- whether the host was drained when we yielded
local retires = false  -- the other one is there to stay: we end when our sessions have
local kept_names       -- set of held names that we go on serving, after yield

--- Whether this generation waits for the commit: its gates are shut and it may not listen.
function generation.joins()
	return joins
end

--- The generation that has taken over from this one, or nil.
function generation.successor()
	return successor
end

--- Whether this one is the service: not before its commit, not after another's.
function generation.is_active()
	return not joins and successor == nil
end

--- Whether its workers may run singletons: not from the moment on in which it yields.
function generation.leads()
	return generation.is_active() and kept_names == nil
end

--- Whether the host takes new work although this generation drains: the other one does.
function generation.answers_for_host()
	return successor ~= nil and not was_drained
end

local function lines(text)
	local set <const> = {}
	for line in (text or ""):gmatch("[^\n]+") do
		set[line] = true
	end
	return set
end

-- A name that no other generation uses is ours to the end. Without a list (a rollback) nothing is:
-- the older one has all that we had, but for addresses that we were the first to bind.
local function own_names(message)
	if message.text then
		return lines(message.text)
	end
	return {}
end

-- The steps ---------------------------------------------------------------------------------------

local steps <const> = {}

function steps.yield(message)
	local server_listen <const> = require "net.server_listen"
	kept_names = own_names(message)
	was_drained = idle.draining()
	server_listen.gate(false, kept_names)
	singletons.cease()
	active_worker.release()
	prosody.events.fire_event("generation-deactivated",
		{ generation = prosody.generation, successor = message.generation })
	if peers.is_speaker() then -- worker 1 may be on its way back
		return handover.save()
	end
end

function steps.take(message)
	local server_listen <const> = require "net.server_listen"
	handover.restore(message.text)
	return nil, server_listen.listen_pending()
end

-- Drained by an operator, the host stays so until undrain.
local function drain_again()
	idle.drain("as before the upgrade", "keeper")
end

local function drain_services(names)
	for _, service in ipairs(names) do
		idle.drain_service(service, "as before the upgrade", "keeper")
	end
end

-- Taking back: what the other one has drained and undrained meanwhile counts, if it could say so.
local function drain_as(drains, reason)
	local wholly = drains.host
	if not drains.saved then
		wholly = was_drained
	end
	if not wholly then
		idle.undrain(reason, "keeper")
	else -- we drain already, but the keeper has heard of the other one only
		life.tell_state(life.state(), nil, reason)
	end
	local wanted <const> = {}
	for _, service in ipairs(drains.services) do
		wanted[service] = true
	end
	for service in pairs(drains.saved and idle.services() or {}) do
		if not wanted[service] then
			idle.undrain_service(service, reason, "keeper")
		end
	end
end

local function go_on(message, reason)
	local server_listen <const> = require "net.server_listen"
	local came_back <const> = successor ~= nil
	joins, successor, retires, kept_names = false, nil, false, nil
	server_listen.gate(true)
	active_worker.take(lock_wait)
	local drains = handover.take_drains()
	if not came_back then
		drains = drains.saved and drains or drained.read()
		drained.change(function ()
			start.activated(reason, drains.host and drain_again or nil)
			drain_services(drains.services)
		end)
	else
		drain_as(drains, reason)
		drain_services(drains.services)
	end
	prosody.events.fire_event("generation-activated",
		{ generation = prosody.generation, predecessor = message.generation })
end

function steps.activate(message)
	go_on(message, ("generation %d has yielded"):format(message.generation))
end

function steps.resume(message)
	local server_listen <const> = require "net.server_listen"
	log("warn", "generation %d does not take over: this one goes on", message.generation)
	kept_names = nil
	server_listen.gate(true)
	active_worker.take(lock_wait)
	singletons.begin()
	prosody.events.fire_event("generation-activated",
		{ generation = prosody.generation, predecessor = message.generation })
end

function steps.yielded(message)
	successor = message.generation
	if life.state() == "serving" then
		idle.drain(("generation %d is active"):format(message.generation), "keeper")
	end
end

local function let_go()
	require "net.server_listen".let_go(kept_names or {})
end

-- From draining, where a stop that was taken back has not come in between.
local function finish()
	if life.state() == "draining" then
		idle.finish(("generation %d is active"):format(successor), "keeper")
	end
end

function steps.retire(message)
	successor, retires = successor or message.generation, true
	let_go()
	finish()
end

--- A stop of the host was taken back: one that is not the service goes on with its end.
function generation.resume_end()
	if successor and life.state() == "serving" then
		idle.drain(("generation %d is active"):format(successor), "keeper")
		if retires then
			finish()
		end
	end
end

-- s: for what is in flight, of the 5 after which the keeper kills
local last_words <const> = 4

steps["end"] = function ()
	local shutdown <const> = require "core.actions".by_verb.shutdown
	local reason <const> = "its time is over"
	let_go()
	shutdown { reason = reason, origin = "keeper", verb = "finish", evict = false,
		budget = last_words }
	-- also where it was in its teardown, whose budgets are longer
	timer.add_task(last_words, function ()
		shutdown { reason = reason, origin = "keeper", now = true }
	end)
end

-- The keeper has gone, perhaps in the middle of an upgrade: the lock says who is the service. Who
-- had let it go, or never had it, may have it now if nobody else does.

local others_decide <const> = 1 -- s: other workers of the generation look who has got the lock
-- s: the one that was told to take over may not have heard it yet, and has the right to the lock
local successor_first <const> = 0.5

local function wins_lock()
	if peers.is_speaker() then
		return active_worker.take()
	end
	async.sleep(others_decide)
	return active_lock.holder() == prosody.generation
end

-- What this one was before: "joined", "yielding" or "yielded"; nil: the service, or finishing.
local function part_of_upgrade()
	if joins then
		return "joined"
	elseif kept_names and life.state() ~= "finishing" and life.state() ~= "stopping" then
		return successor and "yielded" or "yielding"
	end
end

function steps.lost()
	local part <const> = part_of_upgrade()
	if not part then
		return
	elseif part == "yielded" then
		async.sleep(successor_first)
	end
	local serves <const> = (part ~= "joined" or life.state() == "passive") and wins_lock()
	local other <const> = { generation = successor or active_lock.holder() or 0 }
	if serves then
		log("warn", "No keeper, and no other generation is the service: this one is")
		if part == "joined" then
			require "net.server_listen".listen_pending()
		end
		go_on(other, "no keeper")
		singletons.begin()
	elseif part == "joined" then
		log("warn", "No keeper, and generation %d is the service: this one ends", other.generation)
		steps["end"]()
	elseif part == "yielding" then
		steps.yielded(other)
	end
end

-- Messages ----------------------------------------------------------------------------------------

local acknowledged <const> = { yield = true, take = true }

local function run(message)
	local step <const> = message.step
	local started <const> = time.monotonic()
	local ok, saved, why = xpcall(steps[step], debug.traceback, message)
	if not ok then
		saved, why = nil, tostring(saved)
		log("error", "%s: %s", step, why)
	end
	keeper.failpoint("worker-" .. step)
	if acknowledged[step] then
		keeper.ack(message.id, why == nil, why and why:match("[^\n]*"):sub(1, 400) or "", saved)
	end
	log("debug", "%s took %.1f ms", step, (time.monotonic() - started) * 1000)
end

--- Joins this file to the machine and to the keeper.
-- @param machine core/lifecycle_host.lua
-- @param of_worker host.keeper, or nil
function generation.init(machine, of_worker)
	life, keeper = machine, of_worker
	if not keeper then
		return
	end
	joins = keeper.hello.joins or false
	if joins then
		require "net.server_listen".wait_for_commit()
	end
	-- A stop while another one is the service: its listeners are not ours to end.
	prosody.events.add_handler("lifecycle-changed", function (event)
		if successor and event.to == "stopping" then
			let_go()
		end
	end, 50)
	-- One runner: a step that waits (for the lock) holds back the next one.
	local runner <const> = async.runner(run)
	prosody.events.add_handler("keeper-lost", function () runner:run { step = "lost" } end)
	keeper.on("commit", function (message)
		if steps[message.step] then
			runner:run(message)
		end
	end)
end

return generation
