--- What a generation is as a whole: the counts of its other workers, which status, metrics and a
-- waiting drain add to this one's. They are asked over the channels between the workers; who does
-- not answer in time is left out, and the keeper's word stands for it.

local async <const> = require "util.async"
local json <const> = require "util.json"
local peers <const> = require "core.peers"
local timer <const> = require "util.timer"

local whole <const> = {}

-- A worker answers between two callbacks; one that takes longer is not waited for (s).
local limit <const> = 0.3
-- Channels come right after BEGIN, in turns of the loop (s).
local meet <const> = 0.05
-- Whoever says nothing for so long does not answer a console either (s).
local patience <const> = 5

local function own_counts()
	return json.encode(require "core.status".counts())
end

local seen <const> = {} -- number of the worker → its newest counts

local function decode(answers)
	local list <const> = {}
	for number, text in pairs(answers) do
		local counts <const> = json.decode(text)
		list[number] = type(counts) == "table" and counts or nil
		seen[number] = list[number]
	end
	return list
end

--- What the other workers have answered last: so much anybody can have been told.
-- @return { number of the worker → counts }
function whole.last_seen()
	return seen
end

--- Its newest counts are no longer those of a worker that lives.
function whole.forget(number)
	seen[number] = nil
end

--- Whether there is nobody to ask.
function whole.is_alone()
	return #peers.others() == 0
end

--- The counts of the other workers.
-- @return promise of { number of the worker → core.status.counts() of it }
function whole.ask()
	return peers.ask("counts", limit):next(decode)
end

--- The same for who may wait; nothing where waiting is not possible.
-- @return { number of the worker → counts }
function whole.counts()
	if not async.ready() or whole.is_alone() then
		return {}
	end
	return (async.wait_for(whole.ask())) or {}
end

--- Adds the numbers of a table to those of another.
-- @param to, from { name → number }; from may be nil
function whole.add(to, from)
	for name, count in pairs(from or {}) do
		if type(count) == "number" then
			to[name] = (to[name] or 0) + count
		end
	end
end

--- Before this worker's console and health close: while another worker lives, only this one's part
-- in them ends, and the other one answers on.
function whole.leave_admin()
	if not whole.is_alone() then
		require "net.server_listen".leave_class("admin")
	end
end

-- Class admin is accepted by the speaker alone.
local function gate(speaks)
	require "net.server_listen".admin_gate(speaks)
end

--- Answers the other workers from here on.
function whole.init()
	peers.reply("counts", own_counts)
	peers.reply("there", function () return "" end)
	peers.on_speaker(gate)
	if prosody.worker > 1 then
		gate(false) -- who comes back knows of no other, and would answer as the only one
	end
end

--- This worker is ready. It accepts class admin once it knows whether a lower one is ready too:
--- that one says so before it answers.
function whole.announce()
	peers.announce()
	if prosody.worker > 1 then
		timer.add_task(meet, function ()
			peers.ask("there", patience):next(function () gate(peers.is_speaker()) end)
		end)
	end
end

return whole
