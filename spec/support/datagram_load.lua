-- Run as a program: gadwall lua datagram_load.lua PORT PORT SECONDS
-- Sends numbers to both ports of 127.0.0.1, sixteen open at a time, and wants "GENERATION NUMBER"
-- back. Ends at SIGTERM once nothing is open, after SECONDS, or ten seconds after the last answer.
-- Prints how many were sent, answered, still open (lost), answered twice, and by how many
-- generations.

local signal <const> = require "posix.signal"
local socket <const> = require "socket"

local most_open <const>, patience <const> = 16, 10

local sent, answered, twice, count, over = 0, 0, 0, 0, false
local open <const>, seen <const>, list <const> = {}, {}, {}

signal.signal(signal.SIGTERM, function () over = true end)

for i = 1, 2 do
	list[i] = assert(socket.udp())
	assert(list[i]:setpeername("127.0.0.1", math.tointeger(arg[i])))
	list[i]:settimeout(0)
end

local function ask()
	sent, count = sent + 1, count + 1
	open[sent] = true
	list[sent % 2 + 1]:send(tostring(sent))
end

local last = socket.gettime()
local due <const> = last + tonumber(arg[3])

local function take(s)
	local text <const> = s:receive()
	if not text then
		return -- a checksum was wrong, or nobody has the port: its number stays open
	end
	local generation <const>, word <const> = text:match "^(%d+) (%d+)$"
	local number <const> = math.tointeger(word)
	if not open[number] then
		twice = twice + 1
		return
	end
	open[number], seen[generation] = nil, true
	count, answered, last = count - 1, answered + 1, socket.gettime()
end

repeat
	while count < most_open and not over do ask() end
	for _, s in ipairs((socket.select(list, nil, 0.1))) do take(s) end
	local now <const> = socket.gettime()
until now > due or now > last + patience or over and count == 0

local generations = 0
for _ in pairs(seen) do generations = generations + 1 end
print(("sent=%d answered=%d open=%d twice=%d generations=%d"):format(sent, answered, count, twice,
	generations))
