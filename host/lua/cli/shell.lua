--- `gadwall shell`: interactive at a terminal, one command with words, lines from standard input.

local client <const> = require "cli.client"
local control <const> = require "cli.control"
local exit <const> = require "cli.ui".exit
local sys <const> = require "host.sys"

local function open(ctx)
	local found, code = control.find(ctx, "shell")
	if not found then
		return nil, code
	end
	local connection, refused, err = control.connect(ctx, "shell", found)
	if not connection then
		return nil, refused or control.no_answer(ctx, "shell", err)
	end
	return connection, found
end

local function width(ctx)
	return ctx.opts.width or ctx.ui:width()
end

-- Asks the person what a command asks for. @return JSON-ready answer
local function answer_question(kind)
	if not sys.isatty(0) then
		local line <const> = io.read("l")
		return line and { input = line } or { cancel = true }
	end
	io.stderr:write(kind, ": ")
	local hidden <const> = kind == "password"
	if hidden then
		os.execute("stty -echo")
	end
	local line <const> = io.read("l")
	if hidden then
		os.execute("stty echo")
		io.stderr:write("\n")
	end
	return line and { input = line } or { cancel = true }
end

-- Sends one request and shows its answer.
-- @return last object; nil and why
local function exchange(ctx, connection, argv)
	local json <const> = require "util.json"
	local show <const> = control.show(ctx)
	connection:request(argv, width(ctx))
	return connection:answer(function (part)
		if part.input then
			connection:send(json.encode(answer_question(part.input)) .. "\n")
		else
			show(part)
		end
	end, { first = ctx.opts.timeout and sys.clock() + ctx.opts.timeout })
end

-- Texts of a result for people; candidates are for completion files, one a line.
local function text_of(answer, words)
	if words[1] == "complete" and type(answer.result) == "table" then
		return table.concat(answer.result, "\n")
	end
	local value <const> = client.value(answer.message) or client.value(answer.result)
	if type(value) == "table" then
		return require "util.serialization".new { preset = "pretty", fatal = false,
			unquoted = true, fallback = tostring }(value)
	end
	return value == nil and "done" or tostring(value)
end

-- The answer with every field of a command's object, and this command's own status.
local function whole(answer)
	local null <const> = require "util.json".null
	answer.exit = answer.ok and 0 or exit.failed
	answer.error = answer.error == nil and null or answer.error
	answer.result = answer.result == nil and null or answer.result
	return answer
end

local function one_shot(ctx)
	local connection, code = open(ctx)
	if not connection then
		return code
	end
	local answer, why = exchange(ctx, connection, ctx.words)
	connection:close()
	if not answer then
		return control.no_answer(ctx, "shell", why)
	elseif ctx.ui.json then
		ctx.ui:object(whole(answer))
	elseif answer.ok then
		ctx.ui:done(text_of(answer, ctx.words))
	else
		io.stderr:write("Error: ", tostring(client.value(answer.error)), "\n")
	end
	return answer.ok and 0 or exit.failed
end

-- A line of a person: it goes as it was typed. @return true if the answer was no error; nil and why
local function plain_line(ctx, connection, line)
	local ok, err = connection:send(line .. "\n")
	if not ok then
		return nil, err
	end
	while true do
		local answer, why = connection:line(nil)
		if not answer then
			return nil, why
		end
		local word <const> = answer:match("^(%a+): ")
		local question <const> = answer:match("^%? (.*)$")
		if question then
			connection:send((answer_question(question).input or "") .. "\n")
		elseif answer:match("^! ") then
			io.stdout:write(ctx.ui:paint("red", answer:sub(3)), "\n")
		elseif answer:match("^|") then
			io.stdout:write(answer:sub(3), "\n")
		else
			local bad <const> = word == "Error"
			io.stdout:write(bad and ctx.ui:paint("red", answer) or answer, "\n")
			return not bad
		end
	end
end

local function from_stdin(ctx)
	local connection, code = open(ctx)
	if not connection then
		return code
	end
	local status = 0
	for line in io.lines() do
		if line:match("%S") and line ~= "quit" then
			local good, why = plain_line(ctx, connection, line)
			if good == nil then
				return control.no_answer(ctx, "shell", why)
			end
			status = good and status or exit.failed
		end
	end
	connection:close()
	return status
end

-- $XDG_STATE_HOME/gadwall/shell_history, mode 0600 in a folder of 0700.
local function history_file()
	local home <const> = os.getenv("HOME") or ""
	local base = os.getenv("XDG_STATE_HOME") or ""
	if base == "" and home ~= "" then
		base = home .. "/.local/state"
	end
	if base == "" then
		return nil
	end
	local stat <const> = require "posix.sys.stat"
	local folder <const> = base .. "/gadwall"
	for part in folder:gmatch("()/") do
		if part > 1 then
			stat.mkdir(folder:sub(1, part - 1), tonumber("700", 8))
		end
	end
	stat.mkdir(folder, tonumber("700", 8))
	return folder .. "/shell_history"
end

-- Candidates from the server, over a connection of its own: the other may be waiting for an answer.
local function complete(ctx)
	return function (line, cursor)
		local connection <const> = open(ctx)
		if not connection then
			return {}
		end
		local now <const> = sys.clock()
		connection:request({ "complete", line:sub(1, cursor) }, width(ctx))
		local answer <const> = connection:answer(function () end, { first = now + 1, last = now + 1 })
		connection:close()
		local list <const> = answer and client.value(answer.result)
		return type(list) == "table" and list or {}
	end
end

local function greet(ctx, connection)
	local answer <const> = connection:request({ "banner" }, width(ctx))
		and connection:answer(function () end, { first = sys.clock() + client.first_answer })
	local data <const> = answer and client.value(answer.result)
	local banner <const> = type(data) == "table" and data.banner or nil
	if not ctx.ui.quiet then
		io.stdout:write(banner or "gadwall console; 'help' helps, Ctrl-D ends", "\n")
	end
	return type(data) == "table" and data.prompt or "gadwall> "
end

local words_that_end <const> = { quit = true, exit = true, bye = true }

-- One line at the prompt. @return connection to go on with; nil when the host has gone
local function interact(ctx, connection, line)
	local good, why = plain_line(ctx, connection, line)
	if good ~= nil then
		return connection
	end
	connection:close()
	if why ~= "interrupted" then
		io.stdout:write(ctx.ui:paint("yellow", "(the connection was closed)"), "\n")
	end
	-- Ctrl-C gives the running command up; the next line has a fresh connection.
	return (open(ctx))
end

local function interactive(ctx)
	local connection, code = open(ctx)
	if not connection then
		return code
	end
	local edit <const> = require "host.edit"
	local history <const> = history_file()
	local prompt <const> = greet(ctx, connection)
	if history then
		edit.history_load(history)
	end
	edit.completer(complete(ctx))
	while connection do
		local line <const> = edit.readline(prompt)
		if line == nil or words_that_end[line or ""] then
			break
		elseif line and line:match("%S") then
			edit.history_add(line)
			connection = interact(ctx, connection, line)
		end
	end
	if history then
		edit.history_save(history)
	end
	edit.close()
	io.stdout:write("\n")
	return connection and 0 or exit.not_running
end

return function (ctx)
	if #ctx.words > 0 then
		return one_shot(ctx)
	elseif sys.isatty(0) and sys.isatty(1) then
		return interactive(ctx)
	end
	return from_stdin(ctx)
end
