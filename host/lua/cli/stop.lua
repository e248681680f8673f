--- `gadwall stop` and `gadwall finish`: ask, watch the phases, return when the keeper has gone.
-- The keeper's pidfd is opened before anything is asked, so that its end cannot be missed.

local client <const> = require "cli.client"
local control <const> = require "cli.control"
local exit <const> = require "cli.ui".exit
local instance <const> = require "cli.instance"
local json_fields <const> = require "core.json_fields"
local progress <const> = require "cli.progress"
local sys <const> = require "host.sys"

local SIGTERM <const> = 15

-- How often a worker is looked for after the one that was asked has died (s).
local retry_every <const> = 0.05
-- Most seconds from the end of the console to that of the keeper.
local last_moment <const> = 0.5

-- Opens the keeper while it holds the lock; a pid that was taken over by another process is noticed
-- because the lock is asked again afterwards.
local function open_keeper(found)
	local pid <const> = found.pid
	local fd <const> = pid and sys.pidfd_open(pid)
	if not fd then
		return nil
	elseif instance.pid(found) ~= pid then
		sys.close(fd)
		return nil
	end
	return fd
end

-- Waits for the keeper's end. @return true when it has gone
local function wait_gone(keeper, deadline)
	while true do
		local left <const> = deadline and math.max(0, deadline - sys.clock()) or -1
		local ready <const> = sys.wait({ keeper }, left)
		if ready then
			return #ready > 0
		end
	end
end

-- What the report says; the keeper saw more: what came after the report counts too.
local function reported(ctx, report, state)
	json_fields.order(report, "report")
	local status <const> = state.state == "stopped" and tonumber(state.last_exit)
	if status and status ~= report.exit then
		return ctx.ui:fail(exit.failed, ("ended with status %d, its report says %s (%d) after %.1f s")
			:format(status, report.result, report.exit, report.seconds), report)
	elseif report.result == "clean" then
		local words <const> = report.exit ~= 0 and (" with status %d"):format(report.exit) or ""
		return ctx.ui:done(("ended clean%s after %.1f s"):format(words, report.seconds), report)
	end
	return ctx.ui:fail(exit.failed, ("ended %s with status %d after %.1f s"):format(
		report.result, report.exit, report.seconds), report)
end

-- After the end: what the report said, else what the keeper's file says.
local function verdict(ctx, found, answer)
	local report <const> = answer and client.value(answer.result)
	local state <const> = instance.state(found) or {}
	if type(report) == "table" and report.exit then
		return reported(ctx, report, state)
	end
	local last <const> = state.last_exit or "unknown"
	if answer == nil and state.state == "stopped" and last == "0" then
		return ctx.ui:done("ended clean")
	end
	return ctx.ui:fail(exit.failed, ("ended with status %s, and nobody reported"):format(last))
end

local function timed_out(ctx, verb)
	return ctx.ui:refuse(exit.timeout, verb, "it has not ended in time",
		"'gadwall status' shows who holds; 'gadwall stop --now' or --hammer cuts it")
end

-- The worker is silent: the keeper is asked in the way that always works.
local function by_signal(ctx, found, keeper, deadline)
	ctx.ui:note(("the worker does not answer; SIGTERM goes to the keeper (pid %d)"):format(found.pid))
	local ok, err, errno = sys.pidfd_signal(keeper, SIGTERM)
	if not ok and errno ~= sys.ESRCH then
		return ctx.ui:refuse(exit.failed, "stop", tostring(err), "use the uid that runs it, or root")
	elseif ctx.opts.no_wait then
		return ctx.ui:done("SIGTERM was sent")
	elseif not wait_gone(keeper, deadline) then
		return timed_out(ctx, "stop")
	end
	return verdict(ctx, found, nil)
end

-- The worker that was asked has died: the next one that speaks for the host knows of the stop, and
-- is asked for nothing but its end. Nothing tells when it listens: it is tried again for a while.
-- @return answer; nil if nobody is there to give one
local function ask_next(ctx, found, keeper, on_part, last)
	local tries_until <const> = sys.clock() + client.first_answer
	while sys.clock() < math.min(tries_until, last or math.huge) do
		local connection <const> = client.connect(found.socket)
		local answer
		if connection then
			connection:request({ "server", "report", "--wait",
				progress.wanted(ctx) and "--progress" or nil }, ctx.ui:width())
			answer = connection:answer(on_part, { first = tries_until, last = last })
			connection:close()
		end
		if answer or wait_gone(keeper, sys.clock() + retry_every) then
			return answer
		end
	end
end

-- Watches the answer to its end, then the keeper to its own.
local function follow(ctx, found, keeper, connection)
	local deadlines <const> = control.deadlines(ctx)
	deadlines.first = math.min(deadlines.first, sys.clock() + client.first_answer)
	local bars <const> = progress.new(ctx)
	local answered = false
	local function on_part(part)
		answered = true
		bars:part(part)
	end
	local answer, why = connection:answer(on_part, deadlines)
	connection:close()
	if why == "closed" then
		answer = ask_next(ctx, found, keeper, on_part, deadlines.last)
	end
	bars:close()
	if not answer and why == "timeout" and not answered and ctx.command.name == "stop" then
		return by_signal(ctx, found, keeper, deadlines.last)
	elseif not answer and why == "timeout" then
		return timed_out(ctx, ctx.command.name)
	elseif answer and not answer.ok and client.value(answer.result) == nil then
		return control.finish(ctx, answer)
	end
	if not wait_gone(keeper, deadlines.last) then
		return timed_out(ctx, ctx.command.name)
	end
	return verdict(ctx, found, answer)
end

local instant <const> = { "plan", "hammer", "extend", "abort" }

local function is_instant(opts)
	for _, name in ipairs(instant) do
		if opts[name] then
			return true
		end
	end
	return opts.no_wait
end

-- --hammer ends the process that answers: its end is the answer.
local function hammer(ctx, keeper, connection)
	connection:answer(function () end, control.deadlines(ctx))
	connection:close()
	local deadline <const> = sys.clock() + (ctx.opts.timeout or 10)
	if not wait_gone(keeper, deadline) then
		return timed_out(ctx, "stop")
	end
	return ctx.ui:done("ended by the hammer")
end

local function refused(ctx, verb, found, keeper, code, err)
	if code then
		return code
	elseif verb == "stop" and not is_instant(ctx.opts) then
		-- In the last moment of a stop nobody listens any more.
		if wait_gone(keeper, sys.clock() + last_moment) then
			return verdict(ctx, found, nil)
		end
		local timeout <const> = ctx.opts.timeout
		return by_signal(ctx, found, keeper, timeout and sys.clock() + timeout or nil)
	end
	return control.no_answer(ctx, verb, err)
end

return function (ctx)
	local verb <const> = ctx.command.name
	local found, code = control.find(ctx, verb)
	if not found then
		return code
	end
	local keeper <const> = open_keeper(found)
	if not keeper then
		return control.not_running(ctx, verb, found)
	end
	local connection, failed, err = control.connect(ctx, verb, found)
	if not connection then
		return refused(ctx, verb, found, keeper, failed, err)
	end
	local argv <const> = control.words_of(ctx)
	if not is_instant(ctx.opts) then
		argv[#argv + 1] = "--wait"
		argv[#argv + 1] = progress.wanted(ctx) and "--progress" or nil
	end
	connection:request(argv, ctx.ui:width())
	if ctx.opts.hammer then
		return hammer(ctx, keeper, connection)
	elseif is_instant(ctx.opts) then
		local answer, why = connection:answer(control.show(ctx), control.deadlines(ctx))
		connection:close()
		return answer and control.finish(ctx, answer) or control.no_answer(ctx, verb, why)
	end
	return follow(ctx, found, keeper, connection)
end
