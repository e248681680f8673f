--- The console's engine: one line in, the answer out. Knows no socket and no command of its own.
--
-- session.line(text) may be called from anywhere; commands run in the session's own coroutine
-- (util.async), one after the other, and may wait.

local args <const> = require "core.console.args"
local async <const> = require "util.async"
local complete <const> = require "core.console.complete"
local fault <const> = require "core.console.fault"
local json <const> = require "util.json"
local log <const> = require "util.logger".init("console")
local output <const> = require "core.console.output"
local promise <const> = require "util.promise"
local registry <const> = require "core.console.registry"
local sandbox <const> = require "core.console.sandbox"

local engine <const> = {}
local methods <const> = {}
methods.__index = methods

-- Lines that wait while a command runs; more is a client that does not listen.
local queue_max <const> = 64
local words_max <const> = 64

local exit_failed <const>, exit_usage <const> = 1, 2

local usage <const> = fault.raise

--- @param commands a core.console.registry
-- @param write function (text)
-- @param opts origin = table that handlers see as session.origin; connected = function
function engine.new(commands, write, opts)
	local self <const> = setmetatable({ registry = commands, out = output.new(write), waiting = 0 },
		methods)
	self.out.origin = opts and opts.origin
	self.out.is_connected = opts and opts.connected or function () return not self.closed end
	self.out.on_close = function (fn)
		if self.closed then -- who asks may have waited for something else first
			return fn()
		end
		self.closers = self.closers or {}
		self.closers[fn] = true
	end
	self.out.off_close = function (fn) if self.closers then self.closers[fn] = nil end end
	self.runner = async.runner(function (line) self:process(line) end, {
		error = function (_, err)
			log("error", "console: %s", tostring(err))
			self.out:finish("Error", "internal error: " .. tostring(err):match("^[^\n]*"), exit_failed)
		end,
	}, self)
	return self
end

--- One line from the client.
function methods:line(line)
	if self.out.asking then
		local request <const> = line:match("^{") and json.decode(line)
		if type(request) == "table" and (request.input or request.cancel) then
			line = request.input
		end
		self.out:answer(line)
		return
	end
	if self.waiting >= queue_max then
		self.out:finish("Error", "too many lines wait for the running command", exit_usage)
		return
	end
	self.waiting = self.waiting + 1
	self.runner:run(line)
end

--- The client has gone.
function methods:close()
	self.closed = true
	for fn in pairs(self.closers or {}) do
		fn()
	end
	self.out:answer(nil)
end

-- { argv, json, width } of a JSON line, checked. Raises a usage fault.
local function decode_request(line)
	local request, why = json.decode(line)
	if type(request) ~= "table" then
		usage("not JSON: %s", tostring(why or "not an object"))
	end
	local argv <const> = request.argv
	if type(argv) ~= "table" or #argv == 0 or #argv > words_max then
		usage("'argv' must be a list of 1 to %d words", words_max)
	end
	for i, word in ipairs(argv) do
		if type(word) ~= "string" then
			usage("'argv' must hold strings; number %d is a %s", i, type(word))
		end
	end
	local width <const> = math.tointeger(tonumber(request.width))
	return argv, request.json ~= false, width and width > 0 and width <= 1000 and width or nil
end

local function typed_argument(command, arg, word)
	local name <const> = (arg.name or "word"):upper()
	if word == nil and arg.optional then
		return nil
	elseif word == nil then
		usage("%s is missing (usage: %s)", name, registry.usage(command))
	end
	local value, why = args.convert(arg.type, word)
	if value == nil then
		usage("%s: '%s' %s", name, word, why)
	end
	return value
end

-- Turns the words of a call into its values. Raises a usage fault.
local function typed_arguments(command, words)
	local wanted <const> = command.args or {}
	local values <const>, n = {}, #wanted
	local last <const> = wanted[n] or {}
	if #words > n and not command.any_args and not last.rest then
		usage("unexpected word '%s' (usage: %s)", words[n + 1], registry.usage(command))
	end
	n = math.max(#words, n)
	for i = 1, n do
		values[i] = typed_argument(command, wanted[i] or last, words[i])
	end
	return values, n
end

-- Runs a command that was written in words.
function methods:run_words(command, words)
	local section <const> = command.section
	if not command.flag_list then
		local values, n = typed_arguments(command, words)
		return sandbox.call(self, section, command, table.unpack(values, 1, n))
	end
	local flags, rest = args.parse(words, command.flag_list)
	if not flags then
		usage("%s", rest)
	end
	local values, n = typed_arguments(command, rest)
	values[n + 1] = flags
	return sandbox.call(self, section, command, table.unpack(values, 1, n + 1))
end

local function section_help(self, name)
	local help <const> = self.registry:find(nil, "help")
	if help then
		return help.handler(sandbox.self_of(self), name)
	end
	usage("a command must follow '%s'", name)
end

-- Words: SECTION COMMAND ARG…, or WORD ARG…
function methods:dispatch_words(words, line)
	local first <const> = words[1]
	local commands <const> = self.registry
	if first == "complete" then
		return complete.answer(self, table.concat(words, " ", 2))
	end
	local word <const> = commands:find(nil, first)
	-- `finish` the word and `server finish` the command can both be; a section's command wins.
	if commands:has_section(first) and (not word or commands:find(first, words[2] or "")) then
		if not words[2] then
			return section_help(self, first)
		end
		local command <const> = commands:find(first, words[2])
		if not command then
			usage("%s", commands:unknown_in(first, words[2]))
		end
		return self:run_words(command, table.move(words, 3, #words, 1, {}))
	elseif word then
		return self:run_words(word, table.move(words, 2, #words, 1, {}))
	elseif type(commands.old_words[first]) == "function" then
		commands.old_words[first](self.out, line)
		return true, "done"
	end
	usage("%s", commands:unknown(first))
end

function methods:run_code(code, real)
	local chunk, why = sandbox.load(self, code, real)
	if not chunk then
		usage("not understood: %s", why)
	end
	return chunk()
end

function methods:dispatch(line)
	if line:match("^{") then
		-- A broken request is answered in the form that its sender reads.
		self.out:begin(true)
		local argv, as_json, width = decode_request(line)
		self.out:begin(as_json, width)
		if argv[1]:match("^>") then
			return self:run_code(table.concat(argv, " "):sub(2), true)
		elseif #argv == 1 and argv[1]:match("^[%a_][%w_]*%s*[:.(]") then
			return self:run_code(argv[1])
		elseif #argv > 1 or not argv[1]:find("%s") then
			return self:dispatch_words(argv, table.concat(argv, " "))
		end
		-- gadwall shell "module reload echo": no command's name has a space, so it is a line.
		return self:dispatch_line(argv[1]:match("^%s*(.-)%s*$"))
	end
	self.out:begin(false)
	return self:dispatch_line(line)
end

-- A line as it is typed: words, or code.
function methods:dispatch_line(line)
	if line:match("^>") then
		return self:run_code(line:sub(2), true)
	end
	local known <const> = self.console_env and rawget(self.console_env, line)
	if known == nil and line:match("^[%a_][%w_-]*$") or line:match("^[%a_][%w_-]*%s+[^=%s]") then
		local words, why = args.split(line)
		if not words then
			usage("%s", why)
		end
		return self:dispatch_words(words, line)
	end
	return self:run_code(line)
end

-- Prosody's rules for what a command gives back.
function methods:report(n, ok, message, data)
	if promise.is_promise(ok) then
		ok, message = async.wait_for(ok)
		n = message ~= nil and 2 or 1
	end
	if data ~= nil then
		self.out:result(data)
	end
	if n == 0 then
		return self.out:finish("OK", "done", 0)
	end
	if n >= 2 and message ~= nil then
		local text <const> = self.out:serialize(message)
		if ok then
			return self.out:finish("OK", text, 0)
		end
		return self.out:finish("Error", text, exit_failed)
	end
	self.out:finish("Result", self.out:serialize(ok), 0, ok)
end

local function on_error(err)
	if fault.is(err) then
		return err
	end
	return { text = tostring(err), trace = debug.traceback(tostring(err), 2) }
end

--- Runs one line to its end; called in the session's coroutine.
function methods:process(line)
	self.waiting, self.running = self.waiting - 1, true
	self:answer(line)
	self.running = false
end

function methods:answer(line)
	local prefix <const> = line:match("^complete%s(.*)$")
	if prefix then
		self.out:begin(false)
		return complete.answer(self, prefix)
	end
	line = line:match("^%s*(.-)%s*$")
	if line == "" or self.closed then
		return
	end
	local results <const> = table.pack(xpcall(self.dispatch, on_error, self, line))
	local err <const> = results[2]
	if results[1] then
		return self:report(results.n - 1, table.unpack(results, 2, results.n))
	elseif fault.is(err) then
		return self.out:finish("Error", err.text, exit_usage)
	end
	log("warn", "console command '%s': %s", line:sub(1, 200), err.trace)
	self.out:finish("Error", err.text, exit_failed)
end

return engine
