--- The built-in log sinks: console, stdout, file, syslog, nowhere. A maker is `maker(config) ->
-- sink`.

local format <const> = require "util.format".format
local host_sys <const> = require "host.sys"

local log_sinks <const> = {}

local default_timestamp <const> = "%b %d %H:%M:%S "

--- os.date once a second.
local function clock(pattern)
	local last, text
	return function ()
		local now = os.time()
		if now ~= last then
			last, text = now, os.date(pattern, now)
		end
		return text
	end
end

local symbols <const> = { ["\t"] = "\t", ["\127"] = "\u{2421}" }
for code = 0, 31 do
	local char = string.char(code)
	symbols[char] = symbols[char] or utf8.char(0x2400 + code)
end

-- U+0080 to U+009F are control characters too: a terminal takes U+009B for the start of a command.
local function no_c1(message)
	return (message:gsub("\xc2[\x80-\x9f]", "\u{fffd}"))
end

--- One event, one line: what came from outside cannot begin a line of its own.
local function one_line(message)
	return no_c1(message:gsub("\r?\n\t?", "\\n "):gsub("%c", symbols))
end

--- On a terminal a traceback stays readable; continued lines are indented.
local function many_lines(message)
	return no_c1(message:gsub("\r?\n\t?", "\n\t"):gsub("[^%C\n]", symbols))
end

--- "chat" in generation 1 with one worker, "chat[g7.2]" where there are several.
local function label(source)
	local mark = log_sinks.worker_mark
	return mark and source .. mark or source
end

local function line_sink(config, write, clean)
	local stamp = config.timestamps
	if stamp == true or stamp == nil then
		stamp = clock(default_timestamp)
	elseif stamp then
		stamp = clock(stamp .. " ")
	end
	local width = config.source_width
	local paint = config.paint or function (_, text) return text end
	return function (source, level, message, ...)
		source = label(source)
		local gap = "\t"
		if width then
			width = math.max(#source + 2, width)
			gap = (" "):rep(width - #source)
		end
		write((stamp and stamp() or "") .. source .. gap .. paint(level, level) .. "\t"
			.. clean(format(message, ...)) .. "\n")
	end
end

-- Counts the lines that are not taken; how many are missing stands where they are missing, when
-- lines are taken again.
-- @param put fn(text) -> true; or nil and why
-- @param first fn(why): called for the first line that is lost
-- @return fn(line)
local function counting_writer(put, first)
	local lost, why = 0, nil
	local stamp <const> = clock(default_timestamp)
	return function (line)
		local ok, err = put(lost > 0 and ("\n%s%s\twarn\t%d lines are not here: %s\n"):format(
			stamp(), label "log", lost, why) .. line or line)
		if ok then
			lost = 0
			return
		end
		lost, why = lost + 1, err
		if lost == 1 then
			first(err)
		end
	end
end

function log_sinks.nowhere()
	return function () return false end
end

local styles <const> = { info = "1", warn = "1;33", error = "1;31" }

local function paint(level, text)
	local style = styles[level]
	return style and "\27[" .. style .. "m" .. text .. "\27[0m" or text
end

-- A reader that is a little slow is waited for; one that does not read at all, once.
local patience <const> = 0.05

local stuck = false
-- One for all sinks and reloads: what it has counted is not forgotten.
local to_stdout <const> = counting_writer(function (text)
	local size, err, errno = host_sys.write(1, text)
	if not size and errno == host_sys.EAGAIN and not stuck then
		host_sys.wait({ 1 }, patience, true)
		size, err = host_sys.write(1, text)
	end
	stuck = size ~= #text
	return not stuck, err or "half a line"
end, function () end)

function log_sinks.stdout(config)
	local opts = { timestamps = config.timestamps or false, source_width = config.source_width or 20,
		paint = config.paint }
	io.stdout:setvbuf("line")
	return line_sink(opts, to_stdout, config.many_lines and many_lines or one_line)
end

function log_sinks.console(config)
	local tty = host_sys.isatty(1) and not os.getenv("NO_COLOR")
	return log_sinks.stdout {
		timestamps = config.timestamps, source_width = config.source_width,
		paint = tty and paint or nil, many_lines = tty,
	}
end

--- Opens a log file for appending; never follows a symbolic link.
local function open_log(path)
	local fcntl <const> = require "posix.fcntl"
	local flags = fcntl.O_WRONLY | fcntl.O_CREAT | fcntl.O_APPEND | fcntl.O_CLOEXEC
		| fcntl.O_NONBLOCK | fcntl.O_NOCTTY | (fcntl.O_NOFOLLOW or 0x20000)
	local fd, err = fcntl.open(path, flags, 416) -- 0640
	if not fd then
		return nil, err
	end
	return require "posix.stdio".fdopen(fd, "a")
end

--- What the sinks of this round have open, closed by close_files, and where syslog lines go.
local open_files = {}

function log_sinks.file(config)
	local path = require "util.paths".resolve_relative_path(log_sinks.folder, config.filename)
	if not path then
		io.stderr:write("log: a file sink without 'filename' is left out\n")
		return log_sinks.nowhere()
	end
	local file, err = open_log(path)
	if not file then
		io.stderr:write(("log: cannot open %s: %s\n"):format(path, err))
		return log_sinks.nowhere(), path .. ": " .. tostring(err)
	end
	open_files[#open_files + 1] = { file = file, rule = config }
	-- Without a buffer a line is one write, however long: workers append to the same file, and what
	-- is longer than the buffer of "line" would be torn.
	file:setvbuf(config.buffer_mode == "full" and "full" or "no")
	return line_sink(config, counting_writer(function (text) return file:write(text) end,
		function (why) io.stderr:write(("log: cannot write to %s: %s\n"):format(path, why)) end),
		one_line)
end

--- Closes the files of the sinks that are no longer in use.
function log_sinks.close_files()
	local files = open_files
	open_files = {}
	return function ()
		for _, open in ipairs(files) do
			if open.file then
				open.file:close()
			else
				host_sys.close(open.syslog.fd)
			end
		end
	end
end

--- The files that are written to, and syslog.
-- @return list of { rule (what it was made from), and file (handle) or syslog (of log_syslog) }
function log_sinks.files()
	return open_files
end

function log_sinks.syslog(config)
	local syslog <const> = require "posix.syslog"
	local facility = syslog["LOG_" .. (config.syslog_facility or "daemon"):upper()]
		or syslog.LOG_DAEMON or 24
	local way <const>, err = require "core.log_syslog".open(facility, config.syslog_name or "gadwall")
	if not way then
		return log_sinks.nowhere(), "syslog: " .. tostring(err)
	end
	open_files[#open_files + 1] = { syslog = way, rule = config }
	local priorities <const> = { debug = syslog.LOG_DEBUG, info = syslog.LOG_INFO,
		warn = syslog.LOG_WARNING, error = syslog.LOG_ERR }
	return function (source, level, message, ...)
		way.send(priorities[level], label(source) .. ": " .. one_line(format(message, ...)))
	end
end

return log_sinks
