-- Looking at functions and stacks; API of Prosody's util.debug, in plain text.

local concat <const> = table.concat

local hidden <const> = { password = true, passwd = true, pass = true, pwd = true, secret = true }

--- @param thread coroutine or nil. @param level 1 = who calls this
-- @return list of { name, value }
local function get_locals_table(thread, level)
	local locals = {}
	for i = 1, math.huge do
		local name, value
		if thread then
			name, value = debug.getlocal(thread, level, i)
		else
			name, value = debug.getlocal(level + 1, i)
		end
		if not name then return locals end
		locals[i] = { name = name, value = value }
	end
end

--- @return list of { name, value }
local function get_upvalues_table(f)
	local upvalues = {}
	for i = 1, f and math.huge or 0 do
		local name, value = debug.getupvalue(f, i)
		if not name then break end
		upvalues[i] = { name = name == "" and ("[%d]"):format(i) or name, value = value }
	end
	return upvalues
end

local function value_text(name, value, max)
	local text = tostring(value)
	if type(value) == "string" then
		text = hidden[name:match("%a+$")] and "<hidden>" or ("%q"):format(value)
	end
	if #text > max then text = text:sub(1, max - 3) .. "…" end
	return text
end

--- Variables as "{ a = 1, b = 2 }"; nil if there are none. Values of passwords are left out.
-- @param max longest line. @param indent what a further line begins with
local function string_from_var_table(variables, max, indent)
	max = max or math.huge
	local lines, line = {}, ""
	for _, variable in ipairs(variables) do
		if variable.name:sub(1, 1) ~= "(" then
			local text = variable.name .. " = " .. value_text(variable.name, variable.value, max)
			if line ~= "" and #line + #text + 2 > max then
				lines[#lines + 1] = line
				line = text
			else
				line = line == "" and text or line .. ", " .. text
			end
		end
	end
	if line == "" then return nil end
	lines[#lines + 1] = line
	return "{ " .. concat(lines, ",\n" .. (indent or "")) .. " }"
end

--- @return list of { level, info, locals, upvalues } from start_level up
local function get_traceback_table(thread, start_level)
	local levels = {}
	-- Levels of the running coroutine count the very functions that ask; without it none of them does.
	if thread == coroutine.running() then thread = nil end
	for level = start_level or 1, math.huge do
		local info
		if thread then
			info = debug.getinfo(thread, level)
		else
			info = debug.getinfo(level + 1)
		end
		if not info then return levels end
		levels[#levels + 1] = {
			level = level, info = info,
			locals = get_locals_table(thread, thread and level or level + 1),
			upvalues = get_upvalues_table(info.func),
		}
	end
end

local function level_text(level)
	local info = level.info
	local name = info.name and ("'%s'"):format(info.name) or info.what == "main" and "main chunk"
		or ("function <%s:%d>"):format(info.short_src, info.linedefined)
	local where = info.currentline > 0 and ("%s:%d"):format(info.short_src, info.currentline)
		or info.short_src
	local lines = { ("\t%s: in %s"):format(where, name) }
	for _, kind in ipairs { "locals", "upvalues" } do
		local text = string_from_var_table(level[kind], 65, "\t\t    ")
		if text then lines[#lines + 1] = ("\t\t%s: %s"):format(kind, text) end
	end
	return concat(lines, "\n")
end

--- As debug.traceback, with local variables and upvalues.
local function traceback(thread, message, level)
	if type(thread) ~= "thread" then thread, message, level = nil, thread, message end
	if message ~= nil and type(message) ~= "string" then return message end
	local lines = { message }
	lines[#lines + 1] = "stack traceback:"
	for _, entry in ipairs(get_traceback_table(thread, (level or 1) + (thread and -1 or 1))) do
		lines[#lines + 1] = level_text(entry)
	end
	return concat(lines, "\n")
end

return {
	get_locals_table = get_locals_table,
	get_upvalues_table = get_upvalues_table,
	string_from_var_table = string_from_var_table,
	get_traceback_table = get_traceback_table,
	traceback = traceback,
	use = function () debug.traceback = traceback end, -- luacheck: ignore 122/debug
}
