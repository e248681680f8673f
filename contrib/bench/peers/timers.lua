-- N timers with expiries that are all different are added, moved and cancelled; prints ns each.
-- Prosody: lua5.4 timers.lua N FOLDER_OF_PROSODY; gadwall: gadwall lua timers.lua N
local n <const>, prosody <const> = tonumber(arg[1]) or 1000000, arg[2]
local add, stop, reschedule, now
if prosody then
	package.path = prosody .. "/?.lua;" .. package.path
	package.cpath = prosody .. "/?.so;" .. package.cpath
	local timer <const> = require "net.server_epoll".timer
	add, stop, reschedule = timer.add_task, timer.stop, timer.reschedule
	now = require "util.time".monotonic
else
	local timer <const> = require "util.timer"
	add, stop, reschedule = timer.add_task, timer.stop, timer.reschedule
	now = require "util.time".monotonic
end
math.randomseed(42)
local ids <const>, expiry <const>, later <const> = {}, {}, {}
for i = 1, n do
	expiry[i], later[i], ids[i] = 60 + math.random() * 1000, 60 + math.random() * 1000, false
end
local function never() end
collectgarbage()
local before <const> = collectgarbage "count"
local a <const> = now()
for i = 1, n do ids[i] = add(expiry[i], never) end
local b <const> = now()
local bytes <const> = (collectgarbage "count" - before) * 1024 / n
local c <const> = now()
for i = 1, n do reschedule(ids[i], later[i]) end
local d <const> = now()
for i = 1, n do stop(ids[i]) end
local e <const> = now()
print(('{"n":%d,"add_ns":%.1f,"resched_ns":%.1f,"cancel_ns":%.1f,"bytes":%.0f}')
	:format(n, (b - a) * 1e9 / n, (d - c) * 1e9 / n, (e - d) * 1e9 / n, bytes))
