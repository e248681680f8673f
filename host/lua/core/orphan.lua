--- What a worker does without its keeper: it serves on, and finishes when nobody has claimed it
-- within `orphan_timeout`. Looking for a new keeper, and the kernel's timer for a loop that hangs,
-- are C's (bindings/worker_orphan.h).

local log <const> = require "util.logger".init("lifecycle")
local options <const> = require "core.lifecycle_options"
local timer <const> = require "util.timer"

local orphan <const> = {}

-- Beyond what the finish may take (s).
local grace <const> = 30

local waiting -- the timer of orphan_timeout

local function patience()
	return options.period("orphan_timeout", 60)
end

-- The finish has an idle wait of its own; the kernel waits for both, and for the teardown.
local function kernel_deadline(idle_wait)
	local hammer = options.period("hammer_time", 60)
	return idle_wait + (hammer < math.huge and hammer or options.period("shutdown_timeout", 25))
		+ grace
end

--- The keeper has died.
-- @param channel host.keeper
-- @param finish function(idle_wait): drains, waits for sessions at most so long, and ends
function orphan.begin(channel, finish)
	orphan.stop()
	waiting = timer.add_task(patience(), function ()
		waiting = nil
		local idle_wait = math.min(patience(), options.period("finish_idle_wait", 300))
		log("warn", "No keeper within orphan_timeout: this worker finishes, and waits %g s for its "
			.. "sessions", idle_wait)
		channel.orphan_deadline(kernel_deadline(idle_wait))
		finish(idle_wait)
	end)
end

--- There is a keeper again.
function orphan.stop()
	if waiting then
		timer.stop(waiting)
		waiting = nil
	end
end

return orphan
