--- The other workers of this generation, over the channels that the keeper has made between each
-- two of them (host.peers). At most once: a message to a worker that does not read is dropped.
--
--	KIND [NUMBER] LF BODY
--	here      the sender is ready: the lowest of those speaks for the host
--	ask       a question, BODY is its name and what follows it: `answer NUMBER`, or nothing
--	others    what on() has a function for
--
-- Without a keeper, or alone, everything here works and reaches nobody.

local log <const> = require "util.logger".init("peers")
local promise <const> = require "util.promise"
local timer <const> = require "util.timer"

local peers <const> = {}

local channel            -- host.peers, or nil
local ready = false      -- we have said "here"
local others <const> = {} -- number → true: has said "here", and lives
local kinds <const> = {}  -- kind → function(from, body)
local replies <const> = {} -- name → function() → text
local asked <const> = {}  -- number of a question → { waiting = set of workers, take, finish }
local last_question = 0
local watchers <const> = {} -- functions called when the speaker has changed
local changes <const> = {} -- functions called when a worker has come or gone
local speaks = true

--- The longest body, in bytes.
peers.body_max = 64 * 1024 - 256

-- Who speaks --------------------------------------------------------------------------------------

local function find_speaker()
	for number in pairs(others) do
		if number < prosody.worker then
			return false
		end
	end
	return true
end

local function settle()
	local now <const> = find_speaker()
	if now == speaks then
		return
	end
	speaks = now
	log("debug", "this worker %s for the host", now and "speaks" or "does not speak")
	for _, fn in ipairs(watchers) do
		fn(now)
	end
end

--- Whether this worker answers for the host: it has the lowest number of those that are ready.
function peers.is_speaker()
	return speaks
end

--- Calls fn(speaks) each time that this worker begins or ends to speak for the host.
function peers.on_speaker(fn)
	watchers[#watchers + 1] = fn
end

-- Sending -----------------------------------------------------------------------------------------

local function send(number, head, body)
	return channel.send(number, head .. "\n" .. (body or ""))
end

--- Says something to every other worker.
-- @param kind word
-- @param body text of at most body_max bytes
-- @return how many it was sent to
function peers.tell(kind, body)
	local count = 0
	for _, number in ipairs(peers.others()) do
		count = count + (send(number, kind, body) and 1 or 0)
	end
	return count
end

--- The other workers of the generation that live.
-- @return list of their numbers
function peers.others()
	return channel and channel.list() or {}
end

--- What is done when another worker says something.
-- @param kind word
-- @param fn function(number of the worker, body)
function peers.on(kind, fn)
	kinds[kind] = fn
end

-- Questions ---------------------------------------------------------------------------------------

--- Answers a question of another worker.
-- @param name of the question
-- @param fn function(text of who asks) → text of at most body_max bytes, or a promise of it
function peers.reply(name, fn)
	replies[name] = fn
end

local function no_longer(number)
	for _, question in pairs(asked) do
		if question.waiting[number] then
			question.take(number)
		end
	end
end

--- Asks every other worker.
-- @param name of the question (see reply)
-- @param seconds how long an answer is waited for
-- @param text optional: goes with the question
-- @return promise of { worker's number → text }; who is silent, or has died, is not in it
function peers.ask(name, seconds, text)
	last_question = last_question + 1
	local id <const>, answers <const>, waiting <const> = last_question, {}, {}
	local body <const> = text and name .. "\n" .. text or name
	for _, number in ipairs(peers.others()) do
		waiting[number] = send(number, ("ask %d"):format(id), body) and true or nil
	end
	local finish -- from the end of this turn on; answers may come before
	asked[id] = { waiting = waiting, take = function (number, answer)
		waiting[number], answers[number] = nil, answer
		if next(waiting) == nil and finish then
			finish()
		end
	end }
	return promise.new(function (resolve)
		local guard
		finish = function ()
			timer.stop(guard)
			asked[id] = nil
			resolve(answers)
		end
		guard = timer.add_task(next(waiting) and seconds or 0, finish)
	end)
end

local function answer(from, id, text)
	local sent, err = send(from, "answer " .. id, text)
	if not sent then
		log("warn", "no answer to worker %d: %s", from, err)
	end
end

function kinds.ask(from, body, id)
	local name <const>, text <const> = body:match("^([^\n]*)\n?(.*)$")
	local fn <const> = replies[name]
	if not fn then
		return log("error", "worker %d asks: nobody here answers '%s'", from, name)
	end
	local ok, result = pcall(fn, text)
	if not ok then
		return log("error", "worker %d asks: %s", from, tostring(result))
	elseif promise.is_promise(result) then
		return result:next(function (later) answer(from, id, later) end)
	end
	answer(from, id, result)
end

function kinds.answer(from, text, id)
	local question <const> = asked[tonumber(id)]
	if question and question.waiting[from] then
		question.take(from, text)
	end
end

function kinds.here(from)
	others[from] = true
	settle()
end

-- Receiving ---------------------------------------------------------------------------------------

local function on_message(from, text)
	local head, body = text:match("^([^\n]*)\n(.*)$")
	local kind, id = (head or ""):match("^([%l-]+) ?(%d*)$")
	local fn <const> = kinds[kind]
	if not fn then
		return log("error", "worker %d says '%s', which is not known here", from,
			tostring(head):sub(1, 40))
	end
	fn(from, body, id)
end

-- Another process has that number now, or none.
local function on_change(number, here)
	others[number] = nil
	no_longer(number)
	if here and ready then
		send(number, "here")
	end
	settle()
	for _, fn in ipairs(changes) do
		fn(number, here)
	end
end

--- Calls fn(number, here) each time that another worker has come or gone.
function peers.on_change(fn)
	changes[#changes + 1] = fn
end

--- This worker is ready: from here on it may speak for the host.
function peers.announce()
	ready = true
	peers.tell("here")
end

--- Joins this file to the channels.
-- @param keeper host.keeper, or nil
function peers.init(keeper)
	if not keeper then
		return
	end
	channel = require "host.peers"
	channel.on("message", on_message)
	channel.on("change", on_change)
end

return peers
