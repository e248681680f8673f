-- Pauses of the garbage collector with a large heap, and what it costs, for each of its modes:
--	build/gadwall lua contrib/bench/gc.lua [MiB [CALLBACKS [MODE …]]]
-- Each mode has a process of its own. A "callback" makes what a request leaves behind,
-- every tenth replaces an entry of the heap. Times are CPU time: other processes do not count.

local MiB <const>, callbacks <const> = tonumber(arg[1] or 200), tonumber(arg[2] or 500000)
local modes <const> = #arg > 2 and table.move(arg, 3, #arg, 1, {})
	or { "incremental,150,200", "incremental,150,400", "generational,20,100" }

local function set(mode)
	local name, a, b = mode:match("^(%l+),(%d+),(%d+)$")
	assert(name, "a mode is NAME,NUMBER,NUMBER: incremental,PAUSE,SPEED or generational,MINOR,MAJOR")
	collectgarbage(name, tonumber(a), tonumber(b), name == "incremental" and 13 or nil)
end

-- Entries of the heap until it holds so much.
local function fill(heap)
	local begun <const> = collectgarbage("count")
	local n = 0
	while collectgarbage("count") - begun < MiB * 1024 do
		for _ = 1, 1000 do
			n = n + 1
			heap[n] = { id = n, name = "user" .. n, list = { n, n + 1 } }
		end
	end
	return n
end

local function callback(op, heap, n)
	local request <const> = { headers = { a = "x" .. op, b = "y" }, path = "/" .. op }
	local response <const> = { headers = {}, request = request, body = ("z"):rep(200) .. op }
	if op % 10 == 0 then
		local k <const> = op * 7919 % n + 1
		heap[k] = { id = k, name = "user" .. op, list = { op, op + 1 } }
	end
	return function () return request, response end
end

local function measure(mode)
	local took <const>, heap <const> = {}, {}
	for i = 1, callbacks do
		took[i] = 0.0
	end
	set(mode)
	local n <const> = fill(heap)
	local clock <const> = os.clock
	local begun <const> = clock()
	for op = 1, callbacks do
		local at <const> = clock()
		callback(op, heap, n)
		took[op] = clock() - at
	end
	local cpu <const> = clock() - begun
	table.sort(took)
	print(('{"mode":"%s","mib":%d,"tables":%d,"us":%.2f,"p999":%.3f,"p9999":%.3f,"longest":%.1f}')
		:format(mode, MiB, n * 2, cpu / callbacks * 1e6, took[callbacks * 999 // 1000] * 1e3,
			took[callbacks * 9999 // 10000] * 1e3, took[callbacks] * 1e3))
end

if #modes == 1 then
	return measure(modes[1])
end
local info <const> = require "host.info"
for _, mode in ipairs(modes) do
	os.execute(("'%s' lua '%s' %d %d %s"):format(info.binary, arg[0], MiB, callbacks, mode))
end
