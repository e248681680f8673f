-- Section config: get, set, reload, diff; and the word reload.

local array <const> = require "util.array"
local async <const> = require "util.async"
local config_outcome <const> = require "core.config_outcome"
local config_reload <const> = require "core.config_reload"
local configmanager <const> = require "core.configmanager"
local keeper_call <const> = require "core.console.keeper_call"

local lib <const> = {}

local desc <const> = "the config: get, set, reload, diff"

-- A new bundle has come before the keeper's answer. It may stand behind another one, and its
-- handlers have 10 s for each of two events (core/config_reload.lua).
local apply_max <const> = 45

local function names_of(set)
	local list <const> = {}
	for name in pairs(set or {}) do
		list[#list + 1] = tostring(name)
	end
	table.sort(list)
	return list
end

local function get(self, host, key)
	if key == nil then
		host, key = "*", host
	end
	local value <const> = configmanager.get(host, key)
	if value == nil then
		local row <const> = require "core.options".row(key)
		if row and row.default ~= nil then
			return true, ("%s (default)"):format(self.session:serialize(row.default)), row.default
		end
		return nil, ("'%s' is not set"):format(key)
	end
	local where <const> = configmanager.where(host, key)
	return true, ("%s%s"):format(self.session:serialize(value), where and " (" .. where .. ")" or ""),
		value
end

-- Words arrive as text: what reads as a number or boolean is one.
local function literal(text)
	if type(text) ~= "string" then
		return text
	elseif text == "true" or text == "false" then
		return text == "true"
	end
	return tonumber(text) or text
end

local function set(_, host, key, value)
	if value == nil then
		host, key, value = "*", host, key
	end
	if not configmanager.set(host, key, literal(value)) then
		return nil, ("cannot set '%s'"):format(tostring(key))
	end
	return true, ("%s = %s until the next reload"):format(key, tostring(literal(value)))
end

local function print_faults(self, faults)
	for _, fault in ipairs(faults) do
		self.session.error(keeper_call.fault_line(fault))
	end
end

local function tell_changes(self, outcome)
	local changed <const> = names_of(outcome.changed)
	for _, name in ipairs(names_of(outcome.deferred)) do
		self.session.print(("'%s' has changed and takes effect after: %s"):format(name,
			outcome.deferred[name]))
	end
	local list <const> = #changed > 0 and table.concat(changed, ", ") or "nothing"
	local data <const> = { changed = array(changed), deferred = outcome.deferred }
	if #outcome.errors == 0 then
		return true, "config reloaded; changed: " .. list, data
	end
	for _, text in ipairs(outcome.errors) do
		self.session.error(text)
	end
	data.errors = outcome.errors
	return nil, ("the new config is in force (changed: %s), but with %d failure%s (see the log)")
		:format(list, #outcome.errors, #outcome.errors == 1 and "" or "s"), data
end

local function failed(self, text, faults)
	print_faults(self, faults or {})
	return nil, ("cannot reload: %s (the config in force stays)"):format(text),
		{ faults = array(faults or {}) }
end

local function refusal()
	local lifecycle <const>, states <const> = require "core.lifecycle", require "core.lifecycle_states"
	local what <const> = states.verbs.reload[lifecycle.state()]
	if what == "run" or what == "later" then
		return nil
	end
	local stop <const> = lifecycle.stop_status()
	return states.refusal("reload", what, { phase = lifecycle.phase(),
		left = type(stop) == "table" and tonumber(stop.left) or 0 })
end

-- The keeper has the config checked. @return true; or nil and what reload() answers
local function have_it_read(self)
	local request <const> = keeper_call.request("reload")
	if request then
		local answer <const> = async.wait_for(request)
		local faults <const> = answer.faults
		if not answer.ok then
			return nil, table.pack(failed(self, faults and ("%d fault%s"):format(#faults,
				#faults == 1 and "" or "s") or answer.text, faults))
		end
	elseif keeper_call.start() then
		return nil, table.pack(failed(self, "there is no keeper now that could have it checked"))
	else
		prosody.reload_config()
	end
	return true
end

local function reload(self)
	local refused <const> = refusal()
	if refused then
		return nil, refused
	end
	-- A sign of life for clients that wait: the reader may take its 10 s.
	self.session:event { step = "checking the config" }
	local before <const> = config_outcome.count()
	local read <const>, answer = have_it_read(self)
	if not read then
		return table.unpack(answer, 1, answer.n)
	elseif config_outcome.count() == before then
		return nil, "cannot reload: the keeper's new config did not reach this worker (see the log)"
	end
	local outcome <const>, why = config_outcome.wait(apply_max)
	if not outcome then
		return nil, ("cannot reload: the config is good, but %s"):format(why)
	elseif outcome.faults then
		return failed(self, #outcome.faults .. " faults", outcome.faults)
	elseif outcome.refused then
		return nil, "cannot reload: " .. outcome.refused
	end
	return tell_changes(self, outcome)
end

-- The word: the config, or one module.
local function reload_word(self, name, flags)
	if not name then
		return reload(self)
	end
	return module:require("module").reload(self, name, flags and flags.host)
end

local function print_difference(self, host, name, here, there, note)
	if here ~= nil or there ~= nil then
		self.session.print(("%s %s: running %s, file %s%s"):format(host, name,
			self.session:serialize(here), self.session:serialize(there), note or ""))
	end
end

local function count_of(names)
	return #names == 0 and "no difference" or #names == 1 and "1 option differs"
		or #names .. " options differ"
end

-- Running config against the file, option by option.
local function diff(self)
	local state <const> = configmanager.build(prosody.config_file)
	if state:errors() > 0 then
		return failed(self, "the file has faults", state.faults)
	end
	local running <const> = configmanager.getconfig()
	local changed <const> = config_reload.changed(running, state.config)
	local waiting <const> = config_reload.waiting(state.config)
	for _, name in ipairs(names_of(changed)) do
		for _, host in ipairs(waiting[name] and {} or names_of(state.config)) do
			print_difference(self, host, name, rawget(rawget(running, host) or {}, name),
				rawget(rawget(state.config, host) or {}, name))
		end
	end
	for _, name in ipairs(names_of(waiting)) do
		changed[name] = true
		print_difference(self, "*", name, waiting[name][1], rawget(state.config["*"], name),
			(" (takes effect after: %s)"):format(waiting[name].need))
	end
	local names <const> = names_of(changed)
	return true, count_of(names), names
end

--- @return list of commands
function lib.commands()
	keeper_call.start()
	local function command(name, text, args, handler, everywhere)
		return { section = "config", section_desc = desc, name = name, desc = text, args = args,
			handler = handler, everywhere = everywhere }
	end
	local optional <const> = { name = "option", optional = true }
	return {
		command("get", "value of an option and where it was set",
			{ { name = "option", type = "option" }, optional }, get),
		command("set", "until the next reload", { { name = "option", type = "option" },
			{ name = "value" }, { name = "value", optional = true } }, set, true),
		command("reload", "checks the file and puts it in force", {}, reload),
		command("diff", "running config against the file", {}, diff),
		{ name = "reload", desc = "checks and applies the config; or reloads one module",
			args = { { name = "module", type = "module", optional = true } },
			flags = { { name = "host", value = "HOST", help = "only on this host" } },
			handler = reload_word, -- the config goes to all workers through the keeper
			everywhere = function (name) return name ~= nil end },
	}
end

lib.sources = {
	option = function ()
		local names <const> = {}
		for _, row in ipairs(require "core.options".list) do
			names[#names + 1] = row.name
		end
		table.sort(names)
		return names
	end,
}

return lib
