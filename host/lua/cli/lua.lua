--- `gadwall lua`: the interpreter, with the loop and the search paths and no keeper.
-- Like lua(1): script's own exit status through os.exit, 1 with a traceback if it raises.

-- Scripts find files beside where they are started, after ours and the system's.
local here <const> = ";./?.lua;./?/init.lua"

local function handle(err)
	if type(err) ~= "string" then
		local meta <const> = getmetatable(err)
		err = meta and meta.__tostring and tostring(err)
			or ("(error object is a %s value)"):format(type(err))
	end
	return debug.traceback(err, 2)
end

local function execute(chunk, fault, ...)
	if not chunk then
		io.stderr:write("gadwall lua: ", fault, "\n")
		return 1
	end
	local ok, err = xpcall(chunk, handle, ...)
	if not ok then
		io.stderr:write("gadwall lua: ", err, "\n")
		return 1
	end
	return 0
end

local function interactive()
	local edit <const> = require "host.edit"
	while true do
		local line = edit.readline("> ")
		if line == nil then
			edit.close()
			return 0
		elseif line then
			edit.history_add(line)
			local chunk = load("return " .. line, "=stdin") or load(line, "=stdin")
			local results <const> = table.pack(pcall(chunk or function()
				error(select(2, load(line, "=stdin")), 0)
			end))
			for i = 2, results.n do
				io.stdout:write(tostring(results[i]), i == results.n and "\n" or "\t")
			end
		end
	end
end

local function set_arg(script, words, first)
	_G.arg = { [0] = script }
	for i = first, #words do
		_G.arg[i - first + 1] = words[i]
	end
end

return function(ctx)
	local words <const>, code <const> = ctx.words, ctx.opts.execute
	package.path = package.path .. here
	if code then
		set_arg("(command line)", words, 1)
		local chunk, fault = load(code, "=(command line)")
		return execute(chunk, fault, table.unpack(_G.arg))
	end
	local file <const> = words[1]
	if not file and require "host.sys".isatty(0) then
		return interactive()
	end
	set_arg(file or "-", words, 2)
	local chunk, fault = loadfile(file ~= "-" and file or nil)
	return execute(chunk, fault, table.unpack(_G.arg))
end
