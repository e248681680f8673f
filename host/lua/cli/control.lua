--- Commands that are one request to the console: reload, drain, undrain, upgrade, activate.
-- Also what all other commands share: connecting, and saying why it does not work.

local client <const> = require "cli.client"
local exit <const> = require "cli.ui".exit
local instance <const> = require "cli.instance"
local sys <const> = require "host.sys"

local control <const> = {}

--- Finds the instance and checks that it runs.
-- @return instance with pid; or nil and the exit status, after the refusal was printed
function control.find(ctx, verb)
	local found, fault = instance.find(ctx.opts)
	if not found then
		return nil, ctx.ui:refuse(exit.failed, verb, fault, "name another file with -c")
	end
	found.pid = instance.pid(found)
	ctx.instance = found
	return found
end

--- Refuses with "not running", exit 3.
function control.not_running(ctx, verb, found)
	return ctx.ui:refuse(exit.not_running, verb, "not running",
		("nothing answers at %s; 'gadwall run' starts it, --socket or -c name another one"):format(
			found.socket))
end

local eacces <const> = { [13] = true, [1] = true }

--- Connects. @return client; or nil and the exit status
function control.connect(ctx, verb, found)
	local connection, err, errno = client.connect(found.socket)
	if connection then
		return connection
	elseif eacces[errno] then
		local _, uid = sys.ids()
		return nil, ctx.ui:refuse(exit.failed, verb, ("not permitted (uid %d)"):format(uid),
			"use the uid that runs it, or root")
	elseif not found.pid then
		return nil, control.not_running(ctx, verb, found)
	end
	return nil, nil, err
end

--- Deadlines of an answer: --timeout counts for the whole, 5 s for its first part otherwise.
function control.deadlines(ctx)
	local now <const>, asked <const> = sys.clock(), ctx.opts.timeout
	return { first = now + (asked or client.first_answer), last = asked and now + asked or nil }
end

--- Prints a part of an answer while it comes.
function control.show(ctx)
	return function (part)
		if part.error then
			ctx.ui:note(ctx.ui:paint("red", part.error))
		elseif part.output and not ctx.ui.quiet then
			ctx.ui:out(part.output)
		end
	end
end

--- Prints the end of an answer. @return exit status
function control.finish(ctx, answer)
	if answer.ok then
		local message <const> = client.value(answer.message) or client.value(answer.result)
		return ctx.ui:done(type(message) == "string" and message or nil, answer.result)
	end
	return ctx.ui:fail(answer.exit == 2 and exit.usage or exit.failed,
		tostring(client.value(answer.error)), client.value(answer.result))
end

-- Most seconds between the end of the console and that of the keeper.
local end_of_host <const> = 1

-- Whether the host that was found has ended, or does so now.
local function has_ended(ctx)
	local found <const>, deadline <const> = ctx.instance, sys.clock() + end_of_host
	while instance.pid(found) == found.pid do
		if sys.clock() > deadline then
			return false
		end
		sys.wait({}, 0.02)
	end
	return true
end

--- Says why no answer came.
-- @param begun whether some part of it came @return exit status
function control.no_answer(ctx, verb, why, begun)
	if begun and why == "timeout" then
		return ctx.ui:refuse(exit.timeout, verb, "it has not come to its end in time",
			"it goes on; 'gadwall status' shows how far it is")
	end
	if why ~= "timeout" and has_ended(ctx) then
		return ctx.ui:refuse(exit.not_running, verb, "not running", "it ended before it answered")
	end
	if why == "closed" then
		return ctx.ui:refuse(exit.failed, verb, "the connection was closed before the answer",
			"see 'gadwall status' and the log")
	end
	return ctx.ui:refuse(exit.timeout, verb, "the worker does not answer",
		"see 'gadwall status'; --timeout waits longer")
end

-- The words of the console for a command line.
local function words_of(ctx)
	local argv <const> = { ctx.command.name }
	for _, word in ipairs(ctx.words) do
		argv[#argv + 1] = word
	end
	for _, flag in ipairs(ctx.command.flags) do
		local value <const> = ctx.opts[(flag.name:gsub("%-", "_"))]
		if value ~= nil and flag.name ~= "no-wait" then
			argv[#argv + 1] = "--" .. flag.name
			argv[#argv + 1] = flag.value and tostring(value) or nil
		end
	end
	return argv
end

control.words_of = words_of

--- Finds the instance and connects.
-- @return instance, client; or nil and the exit status, after the refusal was printed
function control.open(ctx, verb)
	local found, code = control.find(ctx, verb)
	if not found then
		return nil, code
	end
	local connection, refused, err = control.connect(ctx, verb, found)
	if not connection then
		return nil, refused or control.no_answer(ctx, verb, err)
	end
	return found, connection
end

--- Asks and reports. @param argv words @return exit status
function control.ask(ctx, verb, argv)
	local found, connection = control.open(ctx, verb)
	if not found then
		return connection
	end
	local deadlines <const> = control.deadlines(ctx)
	connection:request(argv, ctx.ui:width())
	local show <const>, begun = control.show(ctx), false
	local answer, why = connection:answer(function (part)
		begun = true
		show(part)
	end, deadlines)
	connection:close()
	if not answer then
		return control.no_answer(ctx, verb, why, begun)
	end
	return control.finish(ctx, answer)
end

return setmetatable(control, { __call = function (_, ctx)
	return control.ask(ctx, ctx.command.name, words_of(ctx))
end })
