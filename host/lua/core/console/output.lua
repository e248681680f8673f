--- What a console session writes: lines of text, or JSON objects, and exactly one last line.
--
-- Plain: "| text", "! text" for errors, then "OK: …", "Error: …" or "Result: …".
-- JSON: {"output":"…"}, {"error":"…"}, then {"ok":…,"result":…,"exit":…}.
-- modules/README.md, Console.

local json <const> = require "util.json"
local promise <const> = require "util.promise"
local serialization <const> = require "util.serialization"

local output <const> = {}
local methods <const> = {}
methods.__index = methods

local default_width <const> = 80

local function plain_value(value)
	if type(value) == "string" then
		return value
	end
	return tostring(value)
end

--- @param write function (text) that sends bytes
function output.new(write)
	local self <const> = setmetatable({ raw = write, width = default_width }, methods)
	self:configure()
	-- Prosody's handlers call session.print(...), not session:print(...).
	self.print = function (...) self:say("| ", "output", ...) end
	self.error = function (...) self:say("! ", "error", ...) end
	self.write = function (text) self:say("| ", "output", (tostring(text):gsub("\n$", ""))) end
	self.request_input = function (kind) return self:ask(kind) end
	return self
end

--- How values of `> expression` are shown. @param opts options of util.serialization
function methods:configure(opts)
	if type(opts) ~= "table" then
		opts = { preset = opts }
	end
	local all <const> = { fatal = false, unquoted = true, maxdepth = 2, fallback = tostring }
	for key, value in pairs(opts) do
		all[key] = value
	end
	self.serializer = serialization.new(all)
end

function methods:serialize(value)
	return type(value) == "table" and self.serializer(value) or plain_value(value)
end

--- Starts the answer to a request. @param as_json form of the answer @param width columns or nil
function methods:begin(as_json, width)
	self.json, self.finished, self.data = as_json, false, nil
	self.width = width or default_width
end

-- Control characters would move the reader's cursor; tab and what UTF-8 needs stay.
local function printable(text)
	local function escape(c)
		return ("\\x%02x"):format(c:byte(-1))
	end
	return (text:gsub("[%z\1-\8\11-\31\127]", escape):gsub("\xc2[\x80-\x9f]", escape))
end

local function joined(...)
	local parts <const> = {}
	for i = 1, select("#", ...) do
		parts[i] = plain_value((select(i, ...)))
	end
	return table.concat(parts, "\t")
end

--- One line (or several) of output. @param mark "| " or "! " @param key "output" or "error"
function methods:say(mark, key, ...)
	local text <const> = joined(...)
	if self.json then
		self.raw(json.encode { [key] = text } .. "\n")
		return
	end
	local lines <const> = {}
	for line in (text .. "\n"):gmatch("(.-)\r?\n") do
		lines[#lines + 1] = mark .. printable(line) .. "\n"
	end
	self.raw(table.concat(lines))
end

--- A line that programs understand better than people.
-- @param event table @param text the same in words, or nil
function methods:event(event, text)
	if self.json then
		self.raw(json.encode { output = text, event = event } .. "\n")
	elseif text then
		self.print(text)
	end
end

--- The value that a JSON answer carries instead of the message.
function methods:result(data)
	self.data = data
end

local answer_mt <const> = { __jsonorder = { "ok", "result", "error", "message", "exit" } }

local function finish_json(self, ok, text, exit, value)
	local answer <const> = setmetatable({ ok = ok, exit = exit }, answer_mt)
	if ok then
		answer.result = self.data
		answer.message = self.data ~= nil and text or nil
		if answer.result == nil then
			answer.result = value == nil and text or value
		end
	else
		answer.error, answer.result = text, self.data or json.null
	end
	if answer.result == nil then
		answer.result = json.null
	end
	local encoded, text_or_error = pcall(json.encode, answer)
	if not encoded then
		text_or_error = json.encode { ok = ok, exit = exit, result = tostring(text) }
	end
	self.raw(text_or_error .. "\n")
end

--- The one last line.
-- @param word "OK", "Error" or "Result" @param text @param exit status of a client
-- @param value what a "Result" stands for, for programs
function methods:finish(word, text, exit, value)
	if self.finished then
		return
	end
	self.finished, self.asking = true, nil
	text = text or ""
	if self.json then
		return finish_json(self, word ~= "Error", text, exit, value)
	end
	local first, rest = text:match("^(.-)\r?\n(.*)$")
	if rest and word == "Error" then
		self.error(rest)
	elseif rest then
		self.print(text)
		first = "(above)"
	end
	self.raw(word .. ": " .. printable(first or text) .. "\n")
end

--- Asks the person for a line (Prosody 13's session.request_input).
-- @param kind "password" or nil @return a promise of the text
function methods:ask(kind)
	return promise.new(function (resolve, reject)
		self.asking = { resolve = resolve, reject = reject }
		if self.json then
			self.raw(json.encode { input = kind or "text" } .. "\n")
		else
			self.raw("? " .. (kind or "text") .. "\n")
		end
	end)
end

--- Gives a line to the question that waits. @return whether one waited
function methods:answer(text)
	local asking <const> = self.asking
	self.asking = nil
	if asking and text then
		asking.resolve(text)
	elseif asking then
		asking.reject("cancelled")
	end
	return asking ~= nil
end

return output
