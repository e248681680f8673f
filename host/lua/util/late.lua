--- A part of luaposix that is loaded when something of it is first used: each is a shared object of
-- its own and costs a start half a millisecond (host/bindings/lua_sys_files.c). Whether it is there
-- is looked up at once, so that a missing one is an error of `require` as always. Coming late, a
-- part may be of a newer package than its neighbours: they share nothing with each other.

-- Whatever becomes of the global one until then: a harness takes it away from its inputs.
local require <const> = require

--- @param name "posix.fcntl", …
-- @return table with what the part has; raises if there is no such part
return function (name)
	if not package.loaded[name] then
		local path, tried = package.searchpath(name, package.cpath)
		assert(path, ("module '%s' not found:%s"):format(name, tried or ""))
	end
	return setmetatable({}, { __index = function (self, key)
		local found <const> = require(name)[key]
		self[key] = found
		return found
	end })
end
