--- Whether the host is healthy, in one place for everybody who says so: HTTP answers, agent-check,
-- `status`, metrics. The words are those of the lifecycle.

local array <const> = require "util.array"
local checks <const> = require "core.health_checks"
local config <const> = require "core.configmanager"
local json <const> = require "util.json"
local json_fields <const> = require "core.json_fields"
local lifecycle <const> = require "core.lifecycle"

local health <const> = {}

--- Whether balancers may send work here.
-- @param service name, or nil: the whole host
-- @return boolean; the word of the lifecycle; the check that does not pass, or nil
function health.ready(service)
	local ready, word = lifecycle.ready(service)
	local failing <const> = checks.failing()
	return ready and not failing, word, failing
end

-- `after` of the goodbye that clients are told, else what is known about the end of the state.
local function retry_after(service, failing)
	local own <const> = service and config.get("*", service .. "_goodbye")
	local all <const> = config.get("*", "goodbye")
	local after <const> = type(own) == "table" and own.after or type(all) == "table" and all.after
	if tonumber(after) then
		return math.ceil(after)
	end
	local state <const>, left <const> = lifecycle.state(), lifecycle.left()
	if state == "stopping" and left < math.huge then
		return math.max(1, math.ceil(left))
	elseif state == "starting" then
		return 1
	elseif state == "serving" and failing then
		return math.max(1, math.ceil(failing.interval))
	end
end

local check_fields <const> = { __jsonorder = { "status", "error", "age" } }

local function shown_checks()
	local shown <const> = {}
	for _, result in ipairs(checks.results()) do
		local age <const> = result.age and math.floor(result.age * 1000 + 0.5) / 1000
		shown[result.name] = setmetatable({ status = result.status,
			error = result.error or json.null, age = age or json.null }, check_fields)
	end
	return shown
end

local function object_of(answer, details)
	local object <const> = {
		status = answer.word, live = true, ready = answer.ready,
		mode = lifecycle.state() == "passive" and "passive" or "active",
		phase = details and lifecycle.phase() or json.null,
		retry_after = answer.retry_after or json.null,
		checks = details and shown_checks() or nil,
	}
	return json_fields.order(object, "health")
end

local function text_of(answer, details)
	local failing <const> = answer.failing
	if not (failing and details) then
		return answer.word .. "\n"
	end
	return ("%s\ncheck %s: %s\n"):format(answer.word, failing.name,
		failing.error or failing.status)
end

local kinds <const> = {}

function kinds.live()
	return true, (lifecycle.state())
end

function kinds.startup()
	return lifecycle.is_started(), (lifecycle.state())
end

kinds.ready = health.ready

--- What a probe is answered.
-- @param kind "live", "ready" or "startup"
-- @param service name, or nil: the whole host
-- @param details whether the asker may hear of phases and checks
-- @return { ok, text, object, retry_after (seconds or nil) }
function health.answer(kind, service, details)
	local ok, word, failing = kinds[kind](service)
	local answer <const> = { word = word, failing = failing }
	answer.ready = kind == "ready" and ok or kind ~= "ready" and health.ready(service)
	answer.retry_after = not ok and retry_after(service, failing) or nil
	return { ok = ok, text = text_of(answer, details), object = object_of(answer, details),
		retry_after = answer.retry_after }
end

local agent_words <const> = { serving = "ready up 100%", passive = "ready up 100%",
	draining = "drain", finishing = "drain", starting = "maint" }

--- The line for HAProxy's agent-check.
function health.agent_line()
	local ready, word, failing = health.ready()
	if not ready and failing and (word == "serving" or word == "passive") then
		return ("down #check %s"):format(failing.name:gsub("[^%w_.-]", "_"))
	end
	return agent_words[word] or "down #" .. word
end

--- The checks that a new generation is judged by in its probation.
-- @return list as of core.health_checks
function health.probation()
	local list <const> = array {}
	for _, result in ipairs(checks.results()) do
		if result.probation then
			list:push(result)
		end
	end
	return list
end

--- Begins to follow the lifecycle: checks are run only while the host serves.
-- @param module the api table whose hooks these are
function health.start(module)
	local function follow()
		local state <const> = lifecycle.state()
		checks.run(state == "serving" or state == "passive")
	end
	module:hook("lifecycle-changed", follow, -1)
	follow()
end

return health
