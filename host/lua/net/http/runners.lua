--- Runners (util.async) for handlers: taken for one piece of work, given back when it is done, so
-- that a connection between two requests has none.

local async <const> = require "util.async"

local runners <const> = {}

local idle <const> = {}

local function release(runner)
	runner.data, runner.on_error = nil, nil
	idle[#idle + 1] = runner
end

local watchers <const> = { ready = release }

function watchers.error(runner, err)
	return runner.on_error(runner.data, err)
end

--- Calls work(subject) where it may wait.
-- @param on_error called with (subject, error and traceback)
function runners.run(work, subject, on_error)
	local runner <const> = table.remove(idle) or async.runner(nil, watchers)
	runner.func, runner.data, runner.on_error = work, subject, on_error
	local _, state = runner:run(subject)
	if state == "ready" then
		release(runner)
	end
end

return runners
