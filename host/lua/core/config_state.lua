--- One load of a config: options by host, where each was set, which files, what is wrong.

local state_methods <const> = {}
local state_mt <const> = { __index = state_methods }

--- @param source see core.bundle
local function new(source)
	local config
	-- A host that does not exist, and an option that a host does not have, is looked up in the
	-- global section.
	config = setmetatable({ ["*"] = {} }, { __index = function (t) return rawget(t, "*") end })
	return setmetatable({
		source = source, config = config, origins = { ["*"] = {} }, files = {}, scans = {},
		faults = {}, hosts = {}, host_places = {},
		host_mt = { __index = function (_, key) return rawget(config["*"], key) end },
	}, state_mt)
end

--- Notes a fault { file, line, column, severity, code, message, suggestion }.
function state_methods:fault(fault)
	self.faults[#self.faults + 1] = fault
end

--- The value of an option in exactly this section.
function state_methods:peek(host, name)
	local section = rawget(self.config, host)
	return section and rawget(section, name)
end

function state_methods:section(host)
	local section = rawget(self.config, host)
	if not section then
		section = setmetatable({}, self.host_mt)
		rawset(self.config, host, section)
		self.origins[host] = {}
	end
	return section
end

--- Sets an option and remembers where.
-- @param file, place { line, column, index } of the assignment; nil if set at run time
-- @param again true if setting it a second time is meant (append)
function state_methods:set(host, name, value, file, place, again)
	local section = self:section(host)
	local origin = self.origins[host][name]
	if origin and file and not again and origin.file == file and name ~= "component_module" then
		self:fault { file = file, line = place.line, column = place.column,
			severity = "warning", code = "duplicate-option",
			message = ("option '%s' is set twice, here and in line %d"):format(name, origin.line) }
	end
	section[name] = value
	self.origins[host][name] = file and { file = file, line = place.line, column = place.column,
		index = place.index, before = again and origin or nil } or nil
end

--- Makes a section exist.
function state_methods:define(host, file, line)
	self:section(host).defined = true
	if not self.host_places[host] then
		self.host_places[host] = { file = file, line = line, column = 1 }
		self.hosts[#self.hosts + 1] = host
	end
end

--- @return number of faults of severity "error"
function state_methods:errors()
	local count = 0
	for _, fault in ipairs(self.faults) do
		if fault.severity == "error" then
			count = count + 1
		end
	end
	return count
end

return { new = new }
