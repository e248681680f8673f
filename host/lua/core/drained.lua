--- What an operator has drained, in the file `drained` of the runtime folder: one name a line, `*`
-- the whole host. It outlives the worker that was told: one that is restarted, and a generation
-- whose older one could not save its state any more, go on with it.

local idle <const> = require "core.idle"
local log <const> = require "util.logger".init("lifecycle")
local places <const> = require "core.places"

local drained <const> = {}

local NAME <const> = "/drained"
local HOST <const> = "*"
-- No service has a name with control characters, and nobody drains so much (bytes).
local most <const> = 64 * 1024

local function path()
	local folder <const> = prosody.paths and prosody.paths.user_runtime
	return folder and folder .. NAME
end

local function lines()
	local list <const> = {}
	for name in pairs(idle.services()) do
		list[#list + 1] = name
	end
	table.sort(list)
	if idle.draining() then
		table.insert(list, 1, HOST)
	end
	list[#list + 1] = ""
	return table.concat(list, "\n")
end

local written -- what this worker has written last
local counts  -- given by follow
local at_once = false -- several changes are one

local function write()
	local name <const>, text <const> = path(), lines()
	if not name or text == written then
		return
	end
	written = text
	local ok, err
	if text == "" then
		ok, err = os.remove(name)
		ok = ok or err and err:find("No such file", 1, true)
	else
		ok, err = places.replace(name, text, prosody.worker or 1) -- each worker writes the same
	end
	if not ok then
		log("warn", "what is drained would not outlive a crash: %s", tostring(err))
	end
end

--- What was drained last.
-- @return { host = bool, services = list of names }, as core.handover.take_drains
function drained.read()
	local found <const> = { host = false, services = {} }
	local file <const> = path() and io.open(path())
	if file then
		for line in (file:read(most) or ""):gmatch("[^\n]+") do
			if line == HOST then
				found.host = true
			else
				found.services[#found.services + 1] = line
			end
		end
		file:close()
	end
	return found
end

--- A host that starts has drained nothing: forgets what one before it had.
function drained.forget()
	if path() then
		os.remove(path())
	end
end

--- Changes that are one: nobody reads the file between them, or while the host passes through
-- serving.
-- @param fn called at once
function drained.change(fn)
	at_once = true
	fn()
	at_once = false
	if counts and counts() then
		write()
	end
end

--- Follows what is drained from here on.
-- @param events prosody.events
-- @param fn function that tells whether this worker's word counts: it is the service, and serves
--   or drains
function drained.follow(events, fn)
	counts = fn
	local function on_change()
		if not at_once and counts() then
			write()
		end
	end
	for _, name in ipairs { "drain-started", "drain-ended", "shutdown-aborted" } do
		events.add_handler(name, on_change, 100)
	end
end

return drained
