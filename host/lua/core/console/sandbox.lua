--- What a line of Lua sees: the sections and harmless functions, or with `>` the real _G.

local everywhere <const> = require "core.console.everywhere"
local fault <const> = require "core.console.fault"

local sandbox <const> = {}

local harmless <const> = { "assert", "error", "ipairs", "math", "next", "pairs", "pcall", "select",
	"string", "table", "tonumber", "tostring", "type", "utf8" }

local function copy(value)
	if type(value) ~= "table" then
		return value
	end
	local fresh <const> = {}
	for key, member in pairs(value) do
		fresh[key] = member
	end
	return fresh
end

local function method(engine, section, command)
	return function (first, ...)
		-- module:reload("x") and module.reload("x") both work; the object is ours anyway.
		if type(first) == "table" and rawget(first, "console_section") then
			return sandbox.call(engine, section, command, ...)
		end
		return sandbox.call(engine, section, command, first, ...)
	end
end

--- The `self` of a handler: its session, and the section's other commands.
function sandbox.self_of(engine, section)
	local commands <const> = engine.registry
	local old <const> = commands.env[section]
	return setmetatable({ session = engine.out }, { __index = function (_, name)
		local command <const> = commands:find(section, name)
		if command then
			return command.handler
		end
		return type(old) == "table" and old[name] or nil
	end })
end

--- Calls a command's handler, on the host that its arguments name, and in all workers if it is for
-- all.
function sandbox.call(engine, section, command, ...)
	local right, why = engine.registry:for_host(command, { ... })
	if not right then
		fault.raise("%s", why)
	end
	local self <const> = sandbox.self_of(engine, section)
	if not everywhere.is(right, ...) then
		return right.handler(self, ...)
	end
	local arguments <const> = table.pack(...)
	return everywhere.run(right, function ()
		return right.handler(self, table.unpack(arguments, 1, arguments.n))
	end, arguments)
end

local function section_object(engine, section)
	return setmetatable({ console_section = section }, { __index = function (_, name)
		local command <const> = engine.registry:find(section, name)
		if not command then
			fault.raise("%s", engine.registry:unknown_in(section, tostring(name)))
		end
		return method(engine, section, command)
	end })
end

local function console_env(engine)
	local env <const> = { print = engine.out.print }
	for _, name in ipairs(harmless) do
		env[name] = copy(_G[name])
	end
	return setmetatable(env, { __index = function (_, name)
		if engine.registry:has_section(name) then
			return section_object(engine, name)
		end
		local word <const> = engine.registry:find(nil, name)
		if word then
			return method(engine, nil, word)
		end
		fault.raise("%s", engine.registry:unknown(tostring(name)))
	end })
end

local function real_env(engine)
	return setmetatable({ print = engine.out.print, session = engine.out }, { __index = _G })
end

local function clean(text)
	return (text:gsub("^%[string .-%]:%d+: ", ""):gsub("^console:%d+: ", "")
		:gsub("<eof>", "the end of the line"))
end

--- Compiles a line: as an expression first, then as statements.
-- @param real true: with the real _G behind it; what the line assigns stays in the session
-- @return function; nil and what is wrong
function sandbox.load(engine, code, real)
	local key <const> = real and "real_env" or "console_env"
	engine[key] = engine[key] or (real and real_env or console_env)(engine)
	local chunk = load("return " .. code, "=console", "t", engine[key])
	if chunk then
		return chunk
	end
	local why
	chunk, why = load(code, "=console", "t", engine[key])
	return chunk, why and clean(why)
end

return sandbox
