-- `drain_refuses_new = true`: who comes while a service is drained is accepted, told goodbye, let
-- go. The port is never shut, so an undrain is in force with the next newcomer.

local goodbye <const> = require "core.goodbye"
local idle <const> = require "core.idle"
local options <const> = require "core.lifecycle_options"
local server <const> = require "net.server"

local refuse <const> = {}

-- refusing listener table → the module's own
local originals <const> = setmetatable({}, { __mode = "k" })

-- The module sees an ordinary connection: its onconnect, its goodbye, its ondisconnect.
local function refusing(original)
	local listeners <const> = {}
	function listeners.onconnect(conn)
		conn:setlistener(original)
		if original.onconnect then
			original.onconnect(conn)
		end
		goodbye.refuse(conn, "draining")
	end
	originals[listeners] = original
	return listeners
end

-- Brings every listener of class client in line with what is drained now.
local function apply()
	local wanted = options.get("drain_refuses_new") == true
	for _, handle in ipairs(server.servers()) do
		local listeners = handle.listeners
		local original = listeners and originals[listeners]
		local refuses = wanted and handle:class() == "client" and idle.draining(handle:service())
		if refuses and listeners and not original then
			handle:setlistener(refusing(listeners))
		elseif original and not refuses then
			handle:setlistener(original)
		end
	end
end

--- Begins to follow drains, and reloads that bring new listeners.
-- @param events prosody.events
function refuse.start(events)
	for _, name in ipairs { "drain-started", "drain-ended", "module-reloaded", "config-reloaded",
		"listener-opened", "shutdown-aborted" } do
		events.add_handler(name, apply, -10)
	end
end

return refuse
