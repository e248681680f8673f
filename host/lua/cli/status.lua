--- `gadwall status`: core.status's object as text or JSON, once or again and again.
-- Without an answering worker it says what the keeper's file says.

local control <const> = require "cli.control"
local exit <const> = require "cli.ui".exit
local instance <const> = require "cli.instance"
local json <const> = require "util.json"
local json_fields <const> = require "core.json_fields"
local screen <const> = require "cli.screen"
local status_text <const> = require "core.status_text"
local sys <const> = require "host.sys"

local null <const> = json.null

-- The keeper's word for a host that goes on is not the truth about a worker that is silent.
local function from_keeper(found, why)
	local state <const> = instance.state(found) or {}
	local function text(key)
		local value <const> = state[key]
		return value and value ~= "" and value or null
	end
	local since <const> = tonumber(state.since)
	return {
		schema = 1, name = "gadwall", version = null, pid = found.pid or tonumber(state.pid) or null,
		state = "failed", phase = text "phase",
		since = since and require "util.datetime".datetime(since) or null, ready = false,
		live = false, reason = why == "error" and "the worker cannot say"
			or "the worker does not answer", uptime = null,
		generation = tonumber(state.generation) or null, server_id = null,
		generations = { { generation = tonumber(state.generation) or null, state = text "state",
			binary = null, version = null, started = null, workers = json.decode "[]" } },
		stop = null, upgrade = null, services = json.decode "[]", in_flight = null, peers = null,
		modules = json.decode "[]", limits = json.decode "[]", probes = null, config = null,
		keeper = { state = text "state", workers = tonumber(state.workers) or null,
			restarts = tonumber(state.restarts) or null, last_exit = text "last_exit" },
	}
end

-- Asks the worker. ending: it is expected to answer no more, once its console has been unloaded.
-- @return object; nil and why
local function ask(ctx, found, ending)
	local connection, _, err = control.connect(ctx, "status", found)
	if not connection then
		return nil, err or "refused"
	end
	connection:request({ "status" }, ctx.ui:width())
	local answer, why = connection:answer(function () end, control.deadlines(ctx))
	connection:close()
	if not answer then
		return nil, why
	elseif not answer.ok or type(answer.result) ~= "table" or answer.result == null then
		if not ending then
			ctx.ui:note("gadwall: the worker says: ", tostring(answer.error))
		end
		return nil, "error"
	end
	return answer.result
end

local function troubled(object)
	for _, module in ipairs(object.modules ~= null and object.modules or {}) do
		if module.status == "error" or module.status == "warn" then
			return true
		end
	end
	return false
end

local function has_failed_worker(object)
	for _, generation in ipairs(object.generations ~= null and object.generations or {}) do
		for _, worker in ipairs(generation.workers) do
			if worker.state == "failed" then
				return true
			end
		end
	end
	return false
end

local function code_of(object)
	return object.state == "serving" and not troubled(object) and not has_failed_worker(object) and 0
		or exit.degraded
end

local function keeper_lines(object)
	local keeper <const> = object.keeper
	return {
		("gadwall: %s (keeper pid %s)"):format(object.reason, tostring(object.pid)),
		("keeper says: state %s, workers %s, restarts %s, last exit %s"):format(
			tostring(keeper.state), tostring(keeper.workers), tostring(keeper.restarts),
			tostring(keeper.last_exit)),
	}
end

-- One look. watched: it was there at the last look, so its end is no fault; ending: see ask
-- @return object, exit status; nil and the exit status when nothing runs, "gone" if it was watched
local function look(ctx, watched, ending)
	local found, code = control.find(ctx, "status")
	if not found then
		return nil, code
	end
	-- connect() refuses by itself only what is final: permissions, and nothing there.
	local connection_possible <const> = found.pid or sys.connect_unix(found.socket)
	if not connection_possible then
		return nil, watched and "gone" or control.not_running(ctx, "status", found)
	elseif not found.pid then
		sys.close(connection_possible)
	end
	local object, why = ask(ctx, found, ending)
	if object then
		return object, code_of(object)
	elseif why == "refused" then
		return nil, exit.failed
	end
	return from_keeper(found, why), exit.degraded
end

local function lines_of(ctx, object)
	return object.keeper and keeper_lines(object)
		or status_text.render(object, ctx.ui.terminal and ctx.ui:width() or nil)
end

local function print_once(ctx, object)
	if ctx.ui.json or ctx.opts.json_lines then
		ctx.ui:object(json_fields.order(object, "status"))
	else
		for _, line in ipairs(lines_of(ctx, object)) do
			io.stdout:write(screen.paint(ctx.ui, line), "\n")
		end
	end
end

-- Longest silence of a worker that ends before it is told as one (s).
local silence <const> = 5

-- Seconds after which a line is said again although nothing is new but the time.
local line_every <const> = 5

-- On a terminal a picture that is drawn over itself; elsewhere a line whenever something is new.
local function draw(ctx, object, seen)
	if ctx.opts.json_lines or ctx.ui.json then
		print_once(ctx, object)
	elseif seen.screen then
		seen.screen:draw(lines_of(ctx, object))
	else
		local line <const> = object.keeper and keeper_lines(object)[1] or status_text.line(object)
		local news <const> = line:gsub("%S+ s left", "")
		if news ~= seen.news or sys.clock() - seen.at >= line_every then
			seen.news, seen.at = news, sys.clock()
			io.stdout:write(line, "\n")
		end
	end
	io.stdout:flush()
end

local ends <const> = { finishing = true, stopping = true, stopped = true }

-- A worker that was seen to end is silent for a moment before its keeper goes.
local function is_last_silence(object, seen)
	if not object.keeper then
		seen.state, seen.silent = object.state, nil
		return false
	end
	seen.silent = seen.silent or sys.clock()
	return ends[seen.state] and sys.clock() - seen.silent < silence
end

-- The host that was watched has gone: its last words are the keeper's file.
local function tell_end(ctx, found, seen)
	local object <const> = from_keeper(found, "ended")
	local last <const> = object.keeper.last_exit
	object.state = object.keeper.state == "stopped" and "stopped" or "failed"
	object.reason = object.state == "failed" and "the keeper has gone without a word"
		or ("ended with status %s"):format(last == null and "unknown" or last)
	if ctx.opts.json_lines or ctx.ui.json then
		print_once(ctx, object)
	else
		if seen.screen then
			seen.screen:close()
		end
		io.stdout:write(object.state, "   ", object.reason, "\n")
	end
	return exit.not_running
end

-- One more look. @return the exit status when it was the last one, else nil and the pause
local function turn(ctx, seen)
	local found <const> = instance.find(ctx.opts)
	if seen.pid and found and instance.pid(found) ~= seen.pid then
		return tell_end(ctx, found, seen)
	end
	local object, code = look(ctx, seen.pid, ends[seen.state])
	if code == "gone" then
		return tell_end(ctx, found, seen)
	elseif not object then
		return code
	end
	seen.pid = object.pid ~= null and object.pid or seen.pid
	if is_last_silence(object, seen) then
		return nil, 0.05
	end
	draw(ctx, object, seen)
	return nil, ctx.opts.interval or ends[seen.state] and 0.2 or 1
end

local function watch(ctx)
	local seen <const> = { screen = ctx.ui.terminal and screen.new(ctx.ui) or nil }
	if seen.screen and not ctx.opts.json_lines and not ctx.ui.json then
		io.stdout:write("\27[2J\27[H")
	end
	while true do
		local code, pause = turn(ctx, seen)
		if code then
			return code
		end
		sys.wait({}, math.max(0.05, pause))
	end
end

return function (ctx)
	if ctx.opts.json_lines and not ctx.opts.watch then
		return ctx.ui:fail(exit.usage, "status: --json-lines goes with --watch")
	elseif ctx.opts.watch then
		return watch(ctx)
	end
	local object, code = look(ctx)
	if object then
		print_once(ctx, object)
	end
	return code
end
