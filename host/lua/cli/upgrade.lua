--- upgrade and rollback: asks, shows each state, and waits for the outcome. When the connection
-- breaks (the worker that answered has died) the host is asked for the outcome by the upgrade's
-- number.

local client <const> = require "cli.client"
local control <const> = require "cli.control"
local exit <const> = require "cli.ui".exit
local sys <const> = require "host.sys"

-- How often the host is asked after a broken connection (s), and how long at most where no
-- --timeout says so.
local look_every <const>, look_limit <const> = 0.2, 120

local function absolute(path)
	if path:sub(1, 1) == "/" then
		return path
	end
	return require "posix.unistd".getcwd() .. "/" .. path
end

local function words(ctx)
	local argv <const> = { ctx.command.name }
	if ctx.opts.check then
		argv[#argv + 1] = "--check"
	end
	for _, name in ipairs { "binary", "config" } do
		if ctx.command.name == "upgrade" and ctx.opts[name] then
			argv[#argv + 1] = "--" .. name
			argv[#argv + 1] = absolute(ctx.opts[name])
		end
	end
	return argv
end

-- The outcome of upgrade `number` from the status of whoever answers now; nil: not known yet;
-- false: it never will be, because another keeper counts anew.
local function ask_outcome(found, number)
	local connection <const> = client.connect(found.socket)
	if not connection then
		return nil
	end
	connection:request({ "status" }, 80)
	local answer <const> = connection:answer(function () end, { first = sys.clock() + 2 })
	connection:close()
	local status <const> = answer and client.value(answer.result) or {}
	local upgrade <const> = client.value(status.upgrade) or {}
	local last <const> = client.value(upgrade.last) or {}
	if answer and (client.value(upgrade.number) or 0) < number then
		return false
	end
	return last.number == number and last or nil
end

local function find_outcome(ctx, found, number)
	local deadline <const> = sys.clock() + (ctx.opts.timeout or look_limit)
	ctx.ui:note(("the connection broke; asking for the outcome of upgrade %d"):format(number))
	repeat
		local last <const> = ask_outcome(found, number)
		if last and (last.outcome == "committed" or last.outcome == "checked") then
			return ctx.ui:done(last.reason, last)
		elseif last then
			return ctx.ui:fail(exit.failed, ("upgrade %s in %s: %s"):format(last.outcome, last.state,
				last.reason), last)
		end
		if last == false then
			return ctx.ui:refuse(exit.failed, ctx.command.name, "the keeper that ran it has died",
				"'gadwall status' shows which generation serves")
		end
		sys.wait({}, look_every)
	until sys.clock() > deadline
	return ctx.ui:refuse(exit.timeout, ctx.command.name, "the outcome is not known",
		"'gadwall status' shows it")
end

-- Shows what comes, until the answer; with --no-wait until it has begun.
-- @return the answer, or nil and why; and the number of the upgrade, if one has begun
local function follow(ctx, connection)
	local show <const>, number = control.show(ctx), nil
	local deadlines <const> = control.deadlines(ctx)
	local begun <const> = {}
	local ok, answer, why = pcall(connection.answer, connection, function (part)
		show(part)
		number = number or tonumber(tostring(part.output or ""):match("^upgrade (%d+):"))
		if number and ctx.opts.no_wait then
			error(begun, 0)
		end
	end, deadlines)
	connection:close()
	if not ok and answer ~= begun then
		error(answer, 0)
	end
	return ok and answer or nil, ok and why or "begun", number
end

return function (ctx)
	local verb <const> = ctx.command.name
	local found, connection = control.open(ctx, verb)
	if not found then
		return connection
	end
	connection:request(words(ctx), ctx.ui:width())
	local answer, why, number = follow(ctx, connection)
	if answer then
		return control.finish(ctx, answer)
	elseif why == "begun" then
		return ctx.ui:done(("upgrade %d has begun"):format(number))
	elseif why == "closed" and number then
		return find_outcome(ctx, found, number)
	end
	return control.no_answer(ctx, verb, why, number ~= nil)
end
