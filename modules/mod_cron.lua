-- Tasks that run hourly, daily or weekly: `module:daily("name", function (task, now) … end)`, or
-- items "task" { name, when, run }. Once in such a time, also over restarts: the store "cron" of
-- the host knows when a task last ran. Options and times are those of Prosody 13.

local async <const> = require "util.async"
local datetime <const> = require "util.datetime"
local unistd <const> = require "posix.unistd"

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

-- A task that waits may be under way while an upgrade or a drain gives the tasks to another one:
-- it is work in flight, and the other process knows of it by a mark in the store.
local under_way

local function mark_of(task)
	return task.id .. " runs in"
end

-- When a process began (ticks since the boot, as text): with its number that is nobody else's, not
-- even after another boot. nil: there is none.
local function begin_of(pid)
	local file <const> = io.open(("/proc/%s/stat"):format(pid))
	if not file then
		return nil
	end
	local text <const> = file:read("a") or ""
	file:close()
	-- Behind its name, which may hold anything.
	return text:match("^.*%) " .. ("%S+ "):rep(19) .. "(%d+)")
end

local own_pid <const> = tostring(unistd.getpid())
local own_mark <const> = own_pid .. " " .. (begin_of(own_pid) or "")

-- Whether an older generation, or the worker that had the tasks before, is at it and still lives.
local function runs_elsewhere(times, task)
	local mark <const> = tostring(times:get(nil, mark_of(task)))
	local pid <const>, began <const> = mark:match("^(%d+) ?(%d*)$")
	local begin <const> = pid and pid ~= own_pid and begin_of(pid)
	return begin and (began == "" or began == begin)
end

local function begin_run(times, task)
	local run <const> = { times = times, task = task, done = module:begin("task " .. task.id) }
	under_way = run
	-- One that does not wait is over before this.
	run.timer = module:add_timer(0, function ()
		run.marked = times:set(nil, mark_of(task), own_mark)
	end)
end

-- @param last when it ran; nil: it failed @return true, or nil and why it cannot be kept
local function end_run(last)
	local run <const> = under_way
	under_way = nil
	run.timer:stop()
	run.done()
	if not last and not run.marked then
		return true
	end
	return run.times:set_keys(nil, { [run.task.id] = last,
		[mark_of(run.task)] = run.marked and run.times.remove or nil })
end

local function run_task(job)
	local task <const>, now <const> = job.task, os.time()
	local times <const> = active[job.host]
	if not times then
		return
	end
	-- Another process may have run it since we had the tasks.
	task.last = times:get(nil, task.id) or task.last
	if not is_due(task, now) or runs_elsewhere(times, task) then
		return
	end
	module:log("debug", "%s: running task %s, last run %s", job.host, task.id,
		task.last and datetime.datetime(task.last) or "never")
	begin_run(times, task)
	task:run(now)
	task.last = now
	local ok, err = end_run(now)
	if not ok then
		module:log("error", "%s: when %s ran cannot be kept: %s", job.host, task.id, tostring(err))
	end
end

local runner <const> = async.runner(run_task, { error = function (_, err)
	if under_way then
		end_run(nil)
	end
	module:log("error", "A task failed: %s", tostring(err))
end })

local function look()
	for host in pairs(active) do
		for _, task in ipairs(module:context(host):get_host_items("task")) do
			if task.id then
				runner:run { host = host, task = task }
			end
		end
	end
end

local function check()
	look()
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

-- What an older generation was at is done, or has died with it.
module:hook("predecessor-stopped", function ()
	if scheduled then
		look()
	end
end)

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
