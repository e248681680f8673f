-- Tasks that run hourly, daily or weekly: `module:daily("name", function (task, now) … end)`, or
-- items "task" { name, when, run }. Once in such a time, also over restarts: the store "cron" of
-- the host knows when a task last ran. Options and times are those of Prosody 13.

local async <const> = require "util.async"
local datetime <const> = require "util.datetime"

module:set_global()

local initial_delay <const> = module:get_option_period("cron_initial_delay", 1)
local check_delay <const> = module:get_option_period("cron_check_delay", 3600, 1)
local spread <const> = module:get_option_number("cron_spread_factor", 0, 0, 1)

local periods <const> = { hourly = 3600, daily = 86400, weekly = 7 * 86400 }
local longest <const> = 53 * periods.weekly

-- Hosts with their stores: { [host] = { get(task id) → time, set(task id, time) } }
local active <const> = {}

local function prepare(host_module, source, task)
	task.name = task.name or task.when
	task.id = task.id or source.name .. "/" .. task.name:gsub("%W", "_"):lower()
	task.period = host_module:get_option_period(task.id:gsub("/", "_") .. "_period",
		periods[task.when] or periods.daily, 60, longest)
	-- A table of a module that was reloaded comes again.
	task.last = nil
end

function module.add_host(host_module)
	local times <const> = assert(host_module:open_store("cron", "map"))
	active[host_module.host] = times

	local function task_added(event)
		local task <const> = event.item
		prepare(host_module, event.source or host_module, task)
		module:log("debug", "%s: task %s added", host_module.host, task.id)
	end

	host_module:handle_items("task", task_added, function (event)
		module:log("debug", "%s: task %s removed", host_module.host, event.item.id)
	end, true)

	function host_module.unload()
		active[host_module.host] = nil
	end
end

-- A check that comes a little early is not a reason to wait for the next one.
local function is_due(task, now)
	return not task.last or task.last + task.period * 0.995 <= now
end

local function run_task(job)
	local task <const>, now <const> = job.task, os.time()
	local times <const> = active[job.host]
	if not times then
		return
	end
	task.last = task.last or times:get(nil, task.id)
	if not is_due(task, now) then
		return
	end
	module:log("debug", "%s: running task %s, last run %s", job.host, task.id,
		task.last and datetime.datetime(task.last) or "never")
	task:run(now)
	task.last = now
	local ok, err = times:set(nil, task.id, now)
	if not ok then
		module:log("error", "%s: when %s ran cannot be kept: %s", job.host, task.id, tostring(err))
	end
end

local runner <const> = async.runner(run_task, { error = function (_, err)
	module:log("error", "A task failed: %s", tostring(err))
end })

local function check()
	for host in pairs(active) do
		for _, task in ipairs(module:context(host):get_host_items("task")) do
			if task.id then
				runner:run { host = host, task = task }
			end
		end
	end
	return check_delay * (1 - spread + 2 * spread * math.random())
end

local scheduled

-- Another process may have run them since: the stores know.
local function forget_times()
	for host in pairs(active) do
		for _, task in ipairs(module:context(host):get_host_items("task")) do
			task.last = nil
		end
	end
end

-- In one worker of the generation in charge only.
module:singleton("tasks", function ()
	forget_times()
	scheduled = scheduled or module:add_timer(initial_delay, check)
end, function ()
	if scheduled then
		scheduled:stop()
		scheduled = nil
	end
end)
