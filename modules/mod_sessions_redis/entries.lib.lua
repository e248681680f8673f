-- Our entries in Redis: what has changed is written in steps, one at a time, so that nothing piles
-- up; and what a finished server has left is taken over.

local registry <const> = require "core.registry"
local scripts <const> = module:require "scripts"

local entries <const> = {
	--- Redis knows us, so entries may be written. While it does not, nothing is noted: all of it is
	-- written anew afterwards.
	registered = false,
}

-- One step: entries and bytes.
local step_entries <const>, step_bytes <const> = 200, 131072

local run                 -- function(script, callback, …), given by init
local failed              -- function(why), given by init
local dirty = {}          -- store name → set of ids that Redis has not got as we have
local writing = false     -- a step is under way, or about to be
local write               -- function, below
local adopting = false
local last_batch <const> = {} -- "STORE FROM" → { number, set of its ids }: ours already

--- Joins this file to the module.
-- @param run_script function(script, callback, …)
-- @param on_failure function(why)
function entries.init(run_script, on_failure)
	run, failed = run_script, on_failure
end

--- The connection is gone, or Redis has forgotten us.
function entries.lost()
	entries.registered, dirty = false, {}
end

--- Redis knows us: everything is written.
function entries.write_all()
	entries.registered = true
	for name, store in pairs(registry.stores()) do
		for id in pairs(store.entries) do
			dirty[name] = dirty[name] or {}
			dirty[name][id] = true
		end
	end
	write()
end

--- Whether a store, or any, has something that is not written yet.
-- @param name of the store, or nil
function entries.behind(name)
	if name then
		return dirty[name] ~= nil
	end
	return writing or next(dirty) ~= nil
end

-- The next entries of one store, taken off the list. @return name, pairs, removed ids
local function next_step()
	local name <const>, ids <const> = next(dirty)
	if not name then
		return nil
	end
	local store <const> = registry.stores()[name]
	local list <const>, removed <const> = {}, {}
	local bytes = 0
	for id in pairs(ids) do
		local text <const> = store and store.entries[id]
		bytes = bytes + #id + #(text or "")
		table.insert(text and list or removed, id)
		list[#list + 1] = text or nil
		ids[id] = nil
		if bytes > step_bytes or #list // 2 + #removed >= step_entries then
			break
		end
	end
	if next(ids) == nil then
		dirty[name] = nil
	end
	return name, list, removed
end

function write()
	if writing or not entries.registered then
		return
	end
	local name <const>, list <const>, removed <const> = next_step()
	if not name then
		return
	end
	writing = true
	local count <const> = #list // 2
	run(scripts.put, function (reply, why)
		writing = false
		if reply == 1 then
			return write()
		end
		-- What came of it is not known, or Redis has forgotten us.
		failed(why)
	end, name, count, table.unpack(table.move(removed, 1, #removed, #list + 1, list)))
end

--- An entry has changed. What changes in one turn of the loop goes in one step.
function entries.changed(store, id)
	if not entries.registered then
		return
	end
	dirty[store.name] = dirty[store.name] or {}
	dirty[store.name][id] = true
	if not writing then
		writing = true
		module:add_timer(0, function ()
			writing = false
			write()
		end)
	end
end

-- Adoption ------------------------------------------------------------------------------------

-- What Redis answers is data from outside. @return set of the ids in the batch
local function take_over(store, from, batch, known)
	local ids <const> = {}
	for i = 1, #batch - 1, 2 do
		local id <const>, text <const> = batch[i], batch[i + 1]
		if type(id) == "string" and type(text) == "string" then
			ids[id] = true
			if not known[id] and registry.adopt(store, id, text, from) then
				entries.changed(store, id)
			end
		end
	end
	return ids
end

-- @return number of the batch and the batch; nothing if this is no answer or nothing is left
local function read_batch(reply)
	local list <const> = type(reply) == "table" and reply or {}
	if math.type(list[1]) == "integer" and type(list[2]) == "table" and #list[2] > 0 then
		return list[1], list[2]
	end
end

-- A batch stays in Redis until the next call confirms it: when an answer is lost it comes again.
local function adopt(left, i, may)
	local name <const>, from <const> = table.unpack(type(left[i]) == "table" and left[i] or {})
	local store <const> = registry.stores()[name]
	if not left[i] or not may() then
		adopting = false
		return
	elseif not store or not store.onadopt or type(from) ~= "string" then
		return adopt(left, i + 1, may)
	end
	local key <const> = name .. " " .. from
	local last <const> = last_batch[key] or { number = 0, ids = {} }
	run(scripts.adopt, function (reply, why)
		local number <const>, batch <const> = read_batch(reply)
		if why or registry.stores()[name] ~= store then
			adopting = false
		elseif not number then
			last_batch[key] = nil
			adopt(left, i + 1, may)
		else
			last_batch[key] = { number = number, ids = take_over(store, from, batch, last.ids) }
			module:log("debug", "%s: %d entries of %s are ours now", name, #batch // 2, from)
			adopt(left, i, may)
		end
	end, name, from, last.number, step_bytes)
end

--- Takes over what finished servers have left.
-- @param left list of { store, member }, as a beat brings it
-- @param may function that tells whether we (still) may
function entries.adopt(left, may)
	if not adopting and left[1] then
		adopting = true
		adopt(left, 1, may)
	end
end

return entries
