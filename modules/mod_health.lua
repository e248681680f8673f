-- Health: /livez, /readyz, /healthz and /startupz on admin_http, and HAProxy's agent-check.
--
--	module:add_item("health-check", { name = "db", interval = 5, timeout = 2,
--		check = function () return db:ping() end })
--
-- check() returns true, or nil and a reason, or a promise, and may wait (util.async). While one
-- does not pass, /readyz is 503.

module:set_global()
module:depends("admin_http")

local checks <const> = require "core.health_checks"
local health <const> = require "core.health"
local http <const> = require "util.http"
local json_fields <const> = require "core.json_fields"
local lifecycle <const> = require "core.lifecycle"
local linger <const> = require "net.http.linger"

local healthz <const> = module:get_option_enum("healthz", "ready", "live")
local on_http <const> = module:get_option_boolean("health_on_http", false)
checks.set_timeout(module:get_option_period("health_check_timeout", 5))

-- Answers -----------------------------------------------------------------------------------------

local function write(event, answer)
	local headers <const> = event.response.headers
	local as_json <const> = http.accepts(event.request.headers.accept, "application/json")
	headers.cache_control = "no-store"
	headers.content_type = as_json and "application/json" or "text/plain; charset=utf-8"
	headers.retry_after = answer.retry_after and ("%d"):format(answer.retry_after)
	return { status_code = answer.ok and 200 or 503,
		body = as_json and json_fields.encode(answer.object) .. "\n" or answer.text }
end

-- kind: "live", "ready", "startup"; details: whether the asker may hear of checks
local function respond(event, kind, details)
	local service
	if kind == "ready" then
		service = http.query(event.request.url.query).service
		if service and not lifecycle.has_service(service) then
			return { status_code = 404, body = ("no service '%s'\n"):format(service) }
		end
		lifecycle.probe_seen()
	end
	return write(event, health.answer(kind, service, details))
end

local kinds <const> = { ["/livez"] = "live", ["/readyz"] = "ready", ["/healthz"] = healthz,
	["/startupz"] = "startup" }

local route <const> = {}
for path, kind in pairs(kinds) do
	route["GET " .. path] = function (event)
		return respond(event, kind, true)
	end
end
module:provides("admin-http", { name = "health", route = route })

-- The client listeners tell what a balancer needs, and nothing about the inside.
if on_http then
	module:depends("http")
	local server <const> = require "net.http.server"
	for path, kind in pairs(kinds) do
		module:hook_object_event(server, "GET " .. path, function (event)
			return respond(event, kind, false)
		end)
	end
end

-- Agent-check -------------------------------------------------------------------------------------

local agent <const> = {}

function agent.onconnect(conn)
	lifecycle.probe_seen()
	conn:write(health.agent_line() .. "\n")
	linger.begin(conn) -- what HAProxy may have sent is read, or the close would be a reset
end

function agent.onincoming() end

if #module:get_option_array("agent_check_ports", {}) > 0 then
	module:provides("net", {
		name = "agent_check", class = "admin", private = true, default_ports = {}, listener = agent,
	})
end

-- Checks ------------------------------------------------------------------------------------------

local function follow(owner)
	owner:handle_items("health-check", function (event)
		checks.add(event.item, (event.source or owner).name)
	end, function (event)
		checks.remove(event.item)
	end)
end

function module.add_host(host_module)
	follow(host_module)
end

follow(module)
health.start(module)

function module.unload()
	checks.run(false)
end
