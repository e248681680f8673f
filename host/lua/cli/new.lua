--- `gadwall new module NAME`: a module, its spec and its config lines; never overwrites.

local exit <const> = require "cli.ui".exit
local info <const> = require "host.info"
local paths <const> = require "util.paths"
local sys <const> = require "host.sys"
local templates <const> = require "cli.templates"

local kinds <const> = { "tcp", "http", "timer" }

local function kind_of(opts)
	local chosen
	for _, kind in ipairs(kinds) do
		if opts[kind] then
			if chosen then
				return nil, ("--%s and --%s exclude each other"):format(chosen, kind)
			end
			chosen = kind
		end
	end
	return chosen or "tcp"
end

-- Writes a new file; fails if there is one.
local function write_new(path, text)
	local fd, err, errno = sys.open(path, "x", tonumber("644", 8))
	if not fd then
		return nil, errno == 17 and "it exists already" or err
	end
	while #text > 0 do
		local n, fault = sys.write(fd, text)
		if not n then
			sys.close(fd)
			return nil, fault
		end
		text = text:sub(n + 1)
	end
	sys.close(fd)
	return true
end

local function exists(path)
	local fd <const> = sys.open(path, "r")
	if fd then
		sys.close(fd)
	end
	return fd ~= nil
end

-- A port above the usual ones, the same for the same name.
local function port_of(name)
	local sum = 0
	for i = 1, #name do
		sum = (sum * 31 + name:byte(i)) % 1000
	end
	return 7100 + sum
end

-- The config's line for the folder, and what puts the module in force: a reload of the config has
-- no other folders than before.
local function way_in(dir)
	local own <const>, built_in <const> = sys.stat(dir), sys.stat(info.modules)
	if own and built_in and own.dev == built_in.dev and own.ino == built_in.ino then
		return "", "gadwall reload"
	end
	local folder <const> = {
		DIR = dir == "." and sys.cwd() or paths.resolve_relative_path(sys.cwd(), dir),
	}
	return (templates.folder:gsub("%$(%u+)", folder)),
		"gadwall upgrade    (gadwall reload, if plugin_paths is as before)"
end

local function make(ctx, name, kind, dir)
	local folder <const>, put_in_force <const> = way_in(dir)
	local values <const> = { NAME = name, PORT = tostring(port_of(name)), FOLDER = folder }
	local files <const> = {
		{ dir .. "/mod_" .. name .. ".lua", templates.module[kind] },
		{ dir .. "/mod_" .. name .. "_spec.lua", templates.spec[kind] },
	}
	for _, file in ipairs(files) do
		if exists(file[1]) then
			return ctx.ui:refuse(exit.failed, "make module " .. name, file[1] .. " exists already",
				"choose another name, or remove it first")
		end
	end
	for _, file in ipairs(files) do
		local ok, err = write_new(file[1], (file[2]:gsub("%$(%u+)", values)))
		if not ok then
			return ctx.ui:refuse(exit.failed, "make module " .. name, file[1] .. ": " .. err,
				"--dir names another folder")
		end
	end
	local config <const> = templates.config[kind]:gsub("%$(%u+)", values)
	ctx.ui:note(("made %s and %s"):format(files[1][1], files[2][1]))
	ctx.ui:out("-- add to the config:\n", (config:gsub("\n$", "")))
	ctx.ui:note(("then: gadwall check && %s\nspec: gadwall lua \"$(command -v busted)\" %s")
		:format(put_in_force, files[2][1]))
	return ctx.ui.json and ctx.ui:done(nil, { module = files[1][1], spec = files[2][1],
		config = config }) or 0
end

return function (ctx)
	local what <const>, name <const> = ctx.words[1], ctx.words[2]
	if what ~= "module" or not name then
		return ctx.ui:fail(exit.usage, "new: say 'gadwall new module NAME'")
	elseif not name:match("^%l[%l%d_]*$") or #name > 40 then
		return ctx.ui:fail(exit.usage,
			("new: '%s' is no name for a module (small letters, digits, _)"):format(name))
	end
	local kind, fault = kind_of(ctx.opts)
	if not kind then
		return ctx.ui:fail(exit.usage, "new: " .. fault)
	elseif kind == "http" and not exists(info.modules .. "/mod_http.lua") then
		return ctx.ui:refuse(exit.failed, "make module " .. name,
			"this version has no mod_http yet", "--tcp makes a service on a port")
	end
	local dir <const> = (ctx.opts.dir or "modules"):gsub("(.)/+$", "%1")
	return make(ctx, name, kind, dir)
end
