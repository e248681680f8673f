--- Asking the keeper something and waiting for its answer (host.keeper, message "result").

local json <const> = require "util.json"
local log <const> = require "util.logger".init("config")
local promise <const> = require "util.promise"
local timer <const> = require "util.timer"

local keeper_call <const> = {}

-- A reader has 10 s, the keeper kills it after 12; a reload may have to wait for another one, which
-- is read so long and then has 30 s to be applied.
local answer_max <const> = 60

local waiting <const> = {}
local keeper

-- @return list of faults of the reader, or nil
local function faults_of(message)
	local list <const> = message.faults and json.decode(message.faults)
	return type(list) == "table" and (list.faults or list) or nil
end

--- A fault as check prints it. @return one line
function keeper_call.fault_line(fault)
	local hint <const> = type(fault.suggestion) == "string"
		and (" (did you mean '%s'?)"):format(fault.suggestion) or ""
	return ("%s:%s:%s: %s: %s%s"):format(fault.file or "?", tostring(fault.line or 1),
		tostring(fault.column or 1), fault.severity or "error", fault.message or "?", hint)
end

-- A reload that a signal began has nobody to tell: its faults go to the log.
local function tell_log(message)
	local faults <const> = faults_of(message) or {}
	for _, fault in ipairs(faults) do
		log("error", "%s", keeper_call.fault_line(fault))
	end
	log("error", "The config was not reloaded (%s); the one in force stays", message.text)
	prosody.events.fire_event("config-reload-failed", { faults = faults })
	require "core.verbs".signal_done("reload", "not-applicable", message.text)
end

local function settle(id, answer)
	local asked <const> = waiting[id]
	waiting[id] = nil
	timer.stop(asked.timer)
	asked.answer = answer
	if asked.resolve then
		asked.resolve(answer)
	end
end

local function on_result(message)
	if waiting[message.id] then
		settle(message.id, { ok = message.ok, text = message.text, faults = faults_of(message) })
	elseif not message.ok then
		tell_log(message)
	end
end

-- Whoever takes its place knows nothing of what was asked.
local function on_lost()
	for id in pairs(waiting) do
		settle(id, { ok = false, text = "the keeper has died; what it had begun may have been undone" })
	end
end

local hears_loss = false

--- Begins to hear answers; called when the console loads.
-- @return whether there is a keeper
function keeper_call.start()
	local ok, found = pcall(require, "host.keeper")
	keeper = ok and type(found) == "table" and found.hello and found or nil
	if keeper then
		keeper.on("result", on_result)
	end
	if not hears_loss then
		hears_loss = true
		prosody.events.add_handler("keeper-lost", on_lost)
	end
	return keeper ~= nil
end

--- @param verb one of host.keeper.request's @param text for it
-- @param seconds optional: longest wait, default 60
-- @return a promise of { ok, text, faults }; nil where there is no keeper
function keeper_call.request(verb, text, seconds)
	local id <const> = keeper and keeper.request(verb, text or "")
	if not id then
		return nil
	end
	-- Not in the promise's function: that one runs a turn later, and a refusal may come before.
	local asked <const> = { timer = timer.add_task(seconds or answer_max, function ()
		settle(id, { ok = false, text = "the keeper did not answer" })
	end) }
	waiting[id] = asked
	return promise.new(function (resolve)
		asked.resolve = resolve
		if asked.answer then
			resolve(asked.answer)
		end
	end)
end

return keeper_call
