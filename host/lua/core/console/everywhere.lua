--- Commands that change what a worker runs (`everywhere` of the item) are for all workers of the
-- generation. The one whose console was asked goes first; when it has succeeded the others do the
-- same, and who did not is named in the answer.

local async <const> = require "util.async"
local fault <const> = require "core.console.fault"
local output <const> = require "core.console.output"
local peers <const> = require "core.peers"
local promise <const> = require "util.promise"
local serialization <const> = require "util.serialization"

local everywhere <const> = {}

-- How long the others are waited for (s): less than a client waits for its first answer.
local limit <const> = 4

local serialize <const> = serialization.new { preset = "compact" }

--- Whether a call of a command is one for all workers.
function everywhere.is(command, ...)
	local wanted <const> = command.everywhere
	if type(wanted) == "function" then
		return wanted(...) and true or false
	end
	return wanted and true or false
end

local function encode(command, arguments)
	local ok, text = pcall(serialize, { section = command.section, name = command.name,
		arguments = arguments })
	if ok and #text <= peers.body_max then
		return text
	end
	return nil, "its arguments cannot be sent to other workers"
end

-- { worker's number → why it has not done it }
local function ask(command, arguments)
	local failed <const> = {}
	local text, why = encode(command, arguments)
	local answers = text and async.wait_for(peers.ask("command", limit, text)) or {}
	for _, number in ipairs(peers.others()) do
		local said = answers[number] or why or ("no answer within %d s"):format(limit)
		failed[number] = said ~= "" and said or nil
	end
	return failed
end

--- Calls a handler here and, when it has succeeded, in all other workers. Waits (util.async).
-- @param call function() that calls the handler
-- @param arguments table.pack of what the handler is called with, without its self
-- @return what the handler returns; or nil and what went wrong elsewhere
function everywhere.run(command, call, arguments)
	local results = table.pack(call())
	if promise.is_promise(results[1]) then
		results = table.pack(async.wait_for(results[1]))
	end
	if not results[1] or #peers.others() == 0 then
		return table.unpack(results, 1, results.n)
	end
	local lines <const> = {}
	for number, why in pairs(ask(command, arguments)) do
		lines[#lines + 1] = ("worker %d: %s"):format(number, why)
	end
	if #lines > 0 then
		table.sort(lines)
		return nil, ("%s in worker %d, but not in all: %s"):format(tostring(results[2] or "done"),
			prosody.worker or 1, table.concat(lines, "; "))
	end
	return table.unpack(results, 1, results.n)
end

-- What another worker's console asks for. @return "" when it is done, else why not
local function obey(sandbox, commands, told)
	local command <const> = commands:find(told.section, told.name)
	if not command then
		return "it has no such command"
	end
	local engine <const> = { registry = commands, out = output.new(function () end) }
	local arguments <const> = told.arguments
	local ok, message = command.handler(sandbox.self_of(engine, told.section),
		table.unpack(arguments, 1, arguments.n))
	if promise.is_promise(ok) then
		ok, message = async.wait_for(ok)
	end
	return ok and "" or tostring(message)
end

--- Does from here on what other workers' consoles ask for.
-- @param sandbox core.console.sandbox @param commands a core.console.registry
function everywhere.serve(sandbox, commands)
	peers.reply("command", function (text)
		local told <const>, err = serialization.deserialize(text)
		if type(told) ~= "table" then
			return "it was not understood: " .. tostring(err)
		end
		return promise.new(function (resolve)
			async.runner(function ()
				resolve(obey(sandbox, commands, told))
			end, { error = function (_, why)
				resolve(fault.is(why) and why.text or tostring(why):match("^[^\n]*"))
			end }):run(true)
		end)
	end)
end

return everywhere
