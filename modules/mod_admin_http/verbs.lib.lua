-- POST /drain, /undrain, /finish, /activate, /upgrade: the verbs of core.lifecycle, answered in the
-- words of the console; JSON for who accepts it.

local accepts <const> = require "util.http".accepts
local json <const> = require "util.json"
local json_fields <const> = require "core.json_fields"
local lifecycle <const> = require "core.lifecycle"
local promise <const> = require "util.promise"
local timer <const> = require "util.timer"

local verbs <const> = {}

local fields <const> = { __jsonorder = { "ok", "verb", "service", "state", "error" } }

local function answer(event, verb, code, text, err)
	local service <const> = event.query.service
	if accepts(event.request.headers.accept, "application/json") then
		event.response.headers.content_type = "application/json"
		text = json_fields.encode(setmetatable({
			ok = err == nil, verb = verb, service = service or json.null,
			state = (lifecycle.state()), error = err or json.null,
		}, fields))
	end
	return { status_code = code, body = text .. "\n" }
end

local function refuse(event, verb, code, err)
	return answer(event, verb, code, err, err)
end

local function line_of(reason, detail)
	return type(detail) == "table" and detail.line or tostring(reason)
end

-- Seconds in which a refusal has come; what goes on for longer is on its way.
local refusal_wait <const> = 2

local function settled(event, verb, outcome)
	local refused <const> = type(outcome) == "table" and outcome.ok == false
	if not refused then
		return answer(event, verb, 200, type(outcome) == "table" and outcome.text or verb .. " done")
	end
	return refuse(event, verb, 409, outcome.line or outcome.text)
end

-- An upgrade takes as long as its probation: ?wait asks for its outcome.
local function pending(event, verb, promised)
	local outcome <const> = promised:next(function (value)
		return settled(event, verb, value)
	end, function (err)
		return refuse(event, verb, 409, type(err) == "table" and err.text or tostring(err))
	end)
	if event.query.wait ~= nil then
		return outcome
	end
	return promise.new(function (resolve)
		outcome:next(resolve)
		timer.add_task(refusal_wait, function ()
			resolve(answer(event, verb, 202, "on its way; 'gadwall status' shows how far it is"))
		end)
	end)
end

-- A verb: does its work, answers the state when it is over (200) or on its way (202).
local function verb_handler(verb, row)
	return function (event)
		local service <const> = event.query.service
		if service and not row.service then
			return refuse(event, verb, 400,
				("cannot %s: it is for the whole host (leave ?service= out)"):format(verb))
		end
		local ok, reason, detail = row.run(service, event.query.reason)
		if promise.is_promise(ok) then
			return pending(event, verb, ok)
		elseif not ok then
			return refuse(event, verb, 409, line_of(reason, detail))
		end
		return answer(event, verb, row.code, row.text and row.text(service) or lifecycle.state())
	end
end

local function activate(_, reason)
	return lifecycle.activate(reason, "http")
end

local rows <const> = {
	drain = { service = true, code = 200,
		run = function (service, reason) return lifecycle.drain(service, reason, "http") end,
		text = function (service) return service and service .. " is draining" end },
	undrain = { service = true, code = 200,
		run = function (service, reason) return lifecycle.undrain(service, reason, "http") end,
		text = function (service) return service and service .. " is ready again" end },
	finish = { code = 202,
		run = function (_, reason) return lifecycle.finish(reason, "http") end },
	activate = { code = 200, run = activate },
	upgrade = { code = 202,
		run = function (_, reason) return lifecycle.upgrade { reason = reason, origin = "http" } end },
}

verbs.routes = {}
for verb, row in pairs(rows) do
	verbs.routes["POST /" .. verb] = verb_handler(verb, row)
end

return verbs
