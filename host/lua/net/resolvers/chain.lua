--- Resolvers one after the other.

local chain <const> = {}

local methods <const> = {}
local mt <const> = { __index = methods }

--- The next target of the first resolver that still has one; see net.resolvers.manual.
function methods:next(callback)
	local current = self.resolvers[1]
	if not current then
		return callback(nil)
	end
	return current:next(function (conn_type, ...)
		self.last_error = current.last_error or self.last_error
		if conn_type then
			return callback(conn_type, ...)
		elseif self.resolvers[1] == current then
			table.remove(self.resolvers, 1)
		end
		return self:next(callback)
	end)
end

--- @param resolvers list
function chain.new(resolvers)
	return setmetatable({ resolvers = resolvers }, mt)
end

return chain
