--- Targets that are known: a list of { "tcp4" | "tcp6" | "tcp" | "unix", address, port, extra }.

local manual <const> = {}

local methods <const> = {}
local mt <const> = { __index = methods }

--- Gives callback(type, address, port, extra) the next target; callback(nil): there is none.
function methods:next(callback)
	local target = table.remove(self.targets, 1)
	if target then
		return callback(table.unpack(target, 1, 4))
	end
	return callback(nil)
end

--- @return resolver for net.connect
function manual.new(targets, conn_type, extra)
	return setmetatable({ targets = targets or {}, conn_type = conn_type, extra = extra }, mt)
end

return manual
