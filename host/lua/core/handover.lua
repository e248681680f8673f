--- State that passes to the next generation (`module:handover`): saved when this one yields,
-- restored in the other before the commit is recorded. Taking back in a rollback is the same the
-- other way.
--
-- The text is a head and one entry a table: names, version, SHA-256, data. An entry that is
-- damaged, too large, of another version or that its module cannot use is a fresh start for that
-- module and `handover-failed`, unless it is vital: then the commit fails and nothing has changed.

local check <const> = require "core.arguments".check
local counters <const> = require "core.counters"
local envload <const> = require "util.envload".envload
local host_sys <const> = require "host.sys"
local idle <const> = require "core.idle"
local log <const> = require "util.logger".init("upgrade")
local options <const> = require "core.options"
local probation <const> = require "core.probation"
local serialization <const> = require "util.serialization"
local time <const> = require "util.time"

local handover <const> = {}

local HEAD <const> = "gadwall-handover 1\n"
local ENTRY <const> = "<s2s2I4s1s4" -- module, name, version, SHA-256 of the data, data
-- All saves together get this long, and one table no more than handover_max_size.
local save_limit <const> = 1

local registered <const> = {} -- list of { module, name, save, restore, vital, version }
local drains                  -- what the older one had drained, until this one is activated

-- The same digest: OpenSSL is faster and has to be loaded first, which is as long as 1 MiB of ours.
local function sha256(text)
	return (#text < 1 << 20 and host_sys or require "util.hashes").sha256(text)
end

local serialize <const> = serialization.new { preset = "compact", fatal = true }

local function deserialize(text)
	local chunk <const> = assert(envload("return " .. text, "=(handover)", {}))
	return chunk()
end

local function failed(entry, side, err)
	log(entry.vital and "error" or "warn", "handover of '%s' of mod_%s, %s: %s%s", entry.name,
		entry.module, side, tostring(err), entry.vital and "" or "; it starts afresh")
	prosody.events.fire_event("handover-failed",
		{ module = entry.module, name = entry.name, error = tostring(err), side = side })
	if entry.vital then
		error(("mod_%s: '%s': %s"):format(entry.module, entry.name, tostring(err)), 0)
	end
end

--- Registers a table that passes on (`module:handover`).
-- @param module its api; what it registered ends with the module
-- @param name unique in the module
-- @param save fn() → plain table or nil (nothing to pass on); must not change what it saves
-- @param restore fn(table): continues with it; an error, or nil and a reason, is a failure
-- @param opts optional table: `vital` (a failure on either side fails the upgrade), `version`
--   (integer, default 1; another one than saved is a fresh start)
function handover.register(module, name, save, restore, opts)
	check("handover", 1, name, "string")
	check("handover", 2, save, "function")
	check("handover", 3, restore, "function")
	check("handover", 4, opts, "table", true)
	opts = opts or {}
	for i = #registered, 1, -1 do
		local entry = registered[i]
		if entry.module == module.name and entry.host == module.host and entry.name == name then
			table.remove(registered, i) -- a reload registers anew
		end
	end
	registered[#registered + 1] = { module = module.name, host = module.host, api = module,
		name = name, save = save, restore = restore, vital = opts.vital or false,
		version = opts.version or 1 }
end

--- Forgets what a module has registered.
function handover.forget(module)
	for i = #registered, 1, -1 do
		if registered[i].api == module then
			table.remove(registered, i)
		end
	end
end

local function key_of(entry)
	return entry.host == "*" and entry.module or entry.host .. "/" .. entry.module
end

local function pack(entry, deadline)
	if time.monotonic() > deadline then
		error("no time left: all saves together have 1 s", 0)
	end
	local data <const> = entry.save()
	if data == nil then
		return ""
	end
	local text <const> = serialize(data)
	local most <const> = options.read("handover_max_size")
	if #text > most then
		error(("%d bytes are more than handover_max_size (%d)"):format(#text, most), 0)
	end
	return ENTRY:pack(key_of(entry), entry.name, entry.version, sha256(text), text)
end

-- What the host itself passes on: what is drained, which health checks pass, what was counted.
local function core_entries()
	return {
		{ module = "-", host = "*", name = "drains", version = 1, vital = false,
			save = function ()
				local services = {}
				for name in pairs(idle.services()) do
					services[#services + 1] = name
				end
				return { host = idle.draining(), services = services }
			end,
			restore = function (saved) drains = saved end },
		{ module = "-", host = "*", name = "probation", version = 1, vital = false,
			save = probation.save, restore = probation.restore },
		{ module = "-", host = "*", name = "counters", version = 1, vital = false,
			save = counters.save, restore = counters.restore },
	}
end

local function all()
	local list <const> = core_entries()
	return table.move(registered, 1, #registered, #list + 1, list)
end

--- Everything that is registered, as one text.
-- @return text; raises if something vital cannot be saved
function handover.save()
	local deadline <const> = time.monotonic() + save_limit
	local parts <const> = { HEAD }
	for _, entry in ipairs(all()) do
		local ok, text = pcall(pack, entry, deadline)
		if ok then
			parts[#parts + 1] = text
		else
			failed(entry, "save", text)
		end
	end
	return table.concat(parts)
end

local function find(key, name)
	for _, entry in ipairs(all()) do
		if key_of(entry) == key and entry.name == name then
			return entry
		end
	end
end

local function restore(entry, version, digest, data)
	if version ~= entry.version then
		error(("version %d was saved, %d is wanted"):format(version, entry.version), 0)
	elseif sha256(data) ~= digest then
		error("the data is damaged", 0)
	end
	local done, why = entry.restore(deserialize(data))
	if done == nil and why then
		error(why, 0)
	end
end

--- Gives each module its part.
-- @param text of save() in the other generation, or nil: nothing was saved
-- Raises if something vital cannot be restored.
function handover.restore(text)
	drains = nil
	if not text then
		return
	elseif text:sub(1, #HEAD) ~= HEAD then
		log("warn", "handover: made by another version; everything starts afresh")
		return
	end
	local at = #HEAD + 1
	while at <= #text do
		local key, name, version, digest, data
		key, name, version, digest, data, at = ENTRY:unpack(text, at)
		local entry <const> = find(key, name)
		if entry then
			local ok, err = pcall(restore, entry, version, digest, data)
			if not ok then
				failed(entry, "restore", err)
			end
		end
	end
end

--- What the older generation had drained; told once.
-- @return { host = bool, services = list of names, saved = bool: whether it could say so }
function handover.take_drains()
	local found <const> = drains or { host = false, services = {} }
	found.saved = drains ~= nil
	drains = nil
	return found
end

return handover
