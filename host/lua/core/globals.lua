--- The global namespace of a worker: locked after the start, `require` that does not pollute it,
-- functions that can be looked into.

local globals <const> = {}

local locked_mt <const> = {}
local locked = false

function locked_mt.__newindex(_, name)
	error(("attempt to set the global '%s' (use a local, or a field of the module)"):format(
		tostring(name)), 2)
end

function locked_mt.__index(_, name)
	local log <const> = require "util.logger".init("globals")
	log("warn", "a global that does not exist was read: '%s' %s", tostring(name),
		debug.traceback("", 2))
	return nil
end

--- Locks _G: setting an unknown global raises, reading one is logged and gives nil.
function globals.lock()
	locked = true
	setmetatable(_G, locked_mt)
end

--- Opens _G again, for code that must set globals.
function globals.unlock()
	locked = false
	setmetatable(_G, nil)
end

--- The environment of the function at a stack level.
local function environment_at(level)
	local info = debug.getinfo(level + 1, "f")
	if not info then
		return nil
	end
	for i = 1, 255 do
		local name, value = debug.getupvalue(info.func, i)
		if not name then
			return nil
		elseif name == "_ENV" then
			return value
		end
	end
end

--- Replaces `require`: a library that sets globals while a module requires it sets them in that
-- module.
function globals.sandbox_require()
	local plain <const> = require
	_G.require = function (name)
		if package.loaded[name] or not locked then
			return plain(name)
		end
		local env = environment_at(2)
		local mt = env and env ~= _G and getmetatable(env)
		if not mt or not mt.__index or mt.__newindex then
			return plain(name)
		end
		setmetatable(_G, { __newindex = env, __index = function (_, key) return rawget(env, key) end })
		local ok, result = pcall(plain, name)
		setmetatable(_G, locked and locked_mt or nil)
		if not ok then
			error(result, 0)
		end
		return result
	end
end

local function upvalue_index(fn, wanted)
	for i = 1, 255 do
		local name, value = debug.getupvalue(fn, i)
		if not name or name == wanted then
			return name and i, value
		end
	end
end

--- Gives all functions Prosody's metatable: `fn.name` is an upvalue, tostring names file and
-- line.
function globals.function_metatable()
	debug.setmetatable(print, {
		__index = function (fn, name)
			local _, value = upvalue_index(fn, name)
			return value
		end,
		__newindex = function (fn, name, value)
			local i = upvalue_index(fn, name)
			if i then
				debug.setupvalue(fn, i, value)
			end
		end,
		__tostring = function (fn)
			local info = debug.getinfo(fn, "Su")
			local names = {}
			for i = 1, info.nparams do
				names[i] = debug.getlocal(fn, i)
			end
			if info.isvararg then
				names[#names + 1] = "..."
			end
			return ("function<%s:%d>(%s)"):format(info.short_src:match("[^/]*$"), info.linedefined,
				table.concat(names, ", "))
		end,
	})
end

return globals
