--- Stores of type "archive" on stores of lists: items with a key, a time and a partner, as Prosody
-- keeps them (of a stanza its plain form with key, when, with and attr.stamp beside it).

local cache <const> = require "util.cache"
local datetime <const> = require "util.datetime"
local new_key <const> = require "util.uuid".v7
local now <const> = require "util.time".now
local set <const> = require "util.set"
local stanza <const> = require "util.stanza"

local storage_archive <const> = {}

local archive <const> = { caps = { total = true, full_id_range = true, ids = true } }
local mt <const> = { __index = archive }

local function when_of(item)
	return item.when or item.attr and datetime.parse(item.attr.stamp)
end

-- What is kept of a value; or nil and the reason
local function pack(self, key, value, when, with)
	local item
	if stanza.is_stanza(value) then
		item = stanza.preserialize(stanza.clone(value))
		item.attr.stamp = datetime.datetime(when)
	elseif self.plain then
		item = { value = value }
	else
		return nil, "unsupported-datatype"
	end
	item.key, item.when, item.with = key, when, with
	return item
end

local function unpack_item(item)
	if not item.name then
		return item.value
	end
	local plain <const> = {}
	for key, value in pairs(item) do
		plain[key] = value
	end
	plain.key, plain.when, plain.with, plain.attr = nil, nil, nil, {}
	for name, value in pairs(item.attr or {}) do
		plain.attr[name] = value
	end
	plain.attr.stamp, plain.attr.stamp_legacy = nil, nil
	return stanza.deserialize(plain)
end

-- One step for all processes, where the list has such a thing.
local function alone(self, user, fn)
	if not self.list.alone then
		return fn()
	end
	return self.list:alone(user, fn)
end

-- How many items a user has; counted once, then kept in mind. Other workers change it, too: who
-- is about to refuse counts anew.
local function count(self, user, anew)
	local known = not anew and self.counts:get(user or "")
	if known then
		return known
	end
	local items, err = self.list:get(user)
	if err then
		return nil, err
	end
	known = items and #items or 0
	self.counts:set(user or "", known)
	return known
end

local function save(self, user, items)
	self.counts:set(user or "", nil)
	return self.list:set(user, items)
end

local function without(items, key)
	local rest <const> = {}
	for _, item in ipairs(items) do
		if item.key ~= key then
			rest[#rest + 1] = item
		end
	end
	return rest
end

-- The user's items without that of this key; nil if there is none to take out.
local function replaced(self, user, key)
	local items <const> = key and self.list:get(user) or {}
	local rest <const> = without(items, key)
	return #rest < #items and rest or nil
end

local function add(self, user, item, held, rest)
	if rest then
		rest[#rest + 1] = item
		return save(self, user, rest)
	end
	local ok, err = self.list:append(user, item)
	self.counts:set(user or "", ok and held + 1 or nil)
	return ok, err
end

local function append(self, user, key, item)
	local held, err = count(self, user)
	if held and held >= self.limit then
		held, err = count(self, user, true)
	end
	if not held then
		return nil, err
	end
	local rest <const> = replaced(self, user, key)
	if (rest and #rest or held) >= self.limit then
		return nil, "quota-limit"
	end
	local ok
	ok, err = add(self, user, item, held, rest)
	if not ok then
		return nil, err
	end
	return item.key
end

--- Adds an item, or puts it in the place of the one with that key, as the newest.
-- @param key string; nil: a new one
-- @param value a stanza; any plain value where the driver takes it
-- @return the key; or nil, "quota-limit", "unsupported-datatype" or a message
function archive:append(user, key, value, when, with)
	local item, err = pack(self, key or new_key(), value, when or now(), with)
	if not item then
		return nil, err
	end
	return alone(self, user, function () return append(self, user, key, item) end)
end

-- A test of one item, from the parts of a query that look at nothing else.
local function matcher(query)
	local ids <const> = query.ids and set.new(query.ids)
	return function (item)
		local when <const> = when_of(item)
		return (not query.key or item.key == query.key) and (not ids or ids:contains(item.key))
			and (not query.with or item.with == query.with)
			and (not query.start or when >= query.start)
			and (not query["end"] or when <= query["end"])
	end
end

local function index_of(items, key)
	for i, item in ipairs(items) do
		if item.key == key then
			return i
		end
	end
end

-- First and last item that are asked for by key: behind `after`, in front of `before`.
local function bounds(items, query)
	local first, last = 1, #items
	if query.after then
		local at <const> = index_of(items, query.after)
		if not at then
			return nil
		end
		first = at + 1
	end
	if query.before then
		local at <const> = index_of(items, query.before)
		if not at then
			return nil
		end
		last = at - 1
	end
	return first, last
end

local function select_items(items, query)
	local first, last = bounds(items, query)
	if not first then
		return nil, "item-not-found"
	end
	local found, total = {}, 0
	local matches <const> = matcher(query)
	local from, to, step = 1, #items, 1
	if query.reverse then
		from, to, step = to, from, -1
	end
	for i = from, to, step do
		if matches(items[i]) then
			total = total + 1
			if i >= first and i <= last and #found < (query.limit or math.huge) then
				found[#found + 1] = items[i]
			end
		end
	end
	return found, total
end

--- @param query optional: key, ids (list), with, start, end (times), after, before (keys), reverse,
-- limit, total (the count without after, before and limit is wanted)
-- @return iterator of key, value, when, with; and the count if it is wanted; or nil and the reason,
-- "item-not-found" for a key in after or before
function archive:find(user, query)
	query = query or {}
	local items, err = self.list:get(user)
	if err then
		return nil, err
	end
	local found, total = select_items(items or {}, query)
	if not found then
		return nil, total
	end
	local i = 0
	return function ()
		i = i + 1
		local item <const> = found[i]
		if item then
			return item.key, unpack_item(item), when_of(item), item.with
		end
	end, query.total and total or nil
end

--- @return value, when, with; or nil, "item-not-found"
function archive:get(user, key)
	local each, err = self:find(user, { key = key })
	if not each then
		return nil, err
	end
	local found, value, when, with = each()
	if not found then
		return nil, "item-not-found"
	end
	return value, when, with
end

local function change(self, user, key, value, when, with)
	local items, err = self.list:get(user)
	if err then
		return nil, err
	end
	local at <const> = items and index_of(items, key)
	if not at then
		return nil, "item-not-found"
	end
	local item
	item, err = pack(self, key, value, when or when_of(items[at]), with or items[at].with)
	if not item then
		return nil, err
	end
	items[at] = item
	return save(self, user, items)
end

--- Changes an item in its place; when and with stay if they are not given.
function archive:set(user, key, ...)
	local rest <const> = table.pack(...)
	return alone(self, user, function ()
		return change(self, user, key, table.unpack(rest, 1, rest.n))
	end)
end

-- What stays when a query is deleted.
local function remaining(items, query)
	local rest <const> = {}
	local asks <const> = query.key or query.ids or query.with or query.start or query["end"]
	local matches <const> = matcher(query)
	local oldest <const> = #items - (query.truncate or #items)
	for i, item in ipairs(items) do
		if not (asks and matches(item) or i <= oldest) then
			rest[#rest + 1] = item
		end
	end
	return rest
end

local function delete(self, user, query)
	local items, err = self.list:get(user)
	if err then
		return nil, err
	end
	items = items or {}
	local rest <const> = remaining(items, query)
	if #rest == #items then
		return 0
	end
	local ok
	ok, err = save(self, user, rest)
	if not ok then
		return nil, err
	end
	return #items - #rest
end

--- Removes what a query (key, ids, with, start, end) finds, or all but the newest `truncate`.
-- @return count of removed items, or true when all were; or nil and the reason
function archive:delete(user, query)
	if not query or next(query) == nil then
		return save(self, user, nil)
	end
	return alone(self, user, function () return delete(self, user, query) end)
end

--- @return { counts, earliest, latest, body }, each by partner
function archive:summary(user, query)
	local each, err = self:find(user, query)
	if not each then
		return nil, err
	end
	local sum <const> = { counts = {}, earliest = {}, latest = {}, body = {} }
	for _, value, when, with in each do
		if with then
			sum.counts[with] = (sum.counts[with] or 0) + 1
			sum.earliest[with] = sum.earliest[with] or when
			sum.latest[with] = when
			sum.body[with] = stanza.is_stanza(value) and value:get_child_text("body") or sum.body[with]
		end
	end
	return sum
end

--- @return the days (YYYY-MM-DD) on which there are items, oldest first; or nil
function archive:dates(user)
	local items, err = self.list:get(user)
	if not items then
		return nil, err
	end
	local days, seen = {}, {}
	for _, item in ipairs(items) do
		local day <const> = datetime.date(when_of(item))
		if not seen[day] then
			seen[day] = true
			days[#days + 1] = day
		end
	end
	return days
end

function archive:users()
	return self.list:users()
end

--- @param list a store of type "list"
-- @param limit most items of one user
-- @param plain true: values need not be stanzas
function storage_archive.new(list, limit, plain)
	return setmetatable({ list = list, limit = limit, plain = plain, counts = cache.new(1000) }, mt)
end

return storage_archive
