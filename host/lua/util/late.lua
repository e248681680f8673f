--- A library of others that is loaded when something of it is first used: each part of luaposix is
-- a shared object of its own and costs a start half a millisecond (bindings/lua_sys_files.c), dkjson
-- twice that. Whether it is there is looked up at once, so that a missing one is an error of
-- `require` as always. Coming late, a part may be of a newer package than its neighbours: they
-- share nothing with each other.

--- @param name "posix.fcntl", "dkjson", …
-- @return table with what the library has; raises if there is no such library
return function (name)
	if not package.loaded[name] then
		local places <const> = package.path .. ";" .. package.cpath
		local path, tried = package.searchpath(name, places)
		assert(path, ("module '%s' not found:%s"):format(name, tried or ""))
	end
	return setmetatable({}, { __index = function (self, key)
		local found <const> = require(name)[key]
		self[key] = found
		return found
	end })
end
