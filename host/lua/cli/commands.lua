--- The command table: words, flags, help. Dispatch, completion, man page and specs read this one.
--
-- `handler` is the module below cli/ that runs it; `raw`: what follows the first plain word is not
-- ours to parse.

local commands <const> = {}

--- Accepted before and after the command word.
commands.common = {
	{ name = "config", short = "c", value = "FILE", help = "config file" },
	{ name = "foreground", short = "F", hidden = true, help = "as in Prosody; the default" },
	{ name = "socket", value = "PATH", help = "admin socket of the instance" },
	{ name = "json", help = "one JSON object on standard output" },
	{ name = "timeout", value = "SECONDS", type = "period",
		help = "longest wait (default: 5 s to the first answer)" },
	{ name = "quiet", short = "q", help = "only errors and results" },
	{ name = "color", value = "auto|always|never", also = "colour",
		choices = { auto = true, always = true, never = true }, help = "colours" },
	{ name = "help", short = "h", help = "this text" },
}

--- Only without a command word.
commands.global = {
	{ name = "version", help = "version of this program" },
	{ name = "verbose", hidden = true, help = "with --version: libraries and folders too" },
	{ name = "list-failpoints", help = "places where a test build can be made to fail" },
}

local no_wait <const> = { name = "no-wait", help = "return as soon as it has begun" }

commands.list = {
	{ name = "run", summary = "run the host in the foreground", handler = "cli.run", flags = {
		{ name = "passive", help = "load everything, start no singletons" },
		{ name = "detach", short = "D", also = "daemon", help = "return when it is ready" },
		{ name = "print-config", help = "print the config in force and leave" },
	} },
	{ name = "check", summary = "list every fault of the config", handler = "cli.check", flags = {
		{ name = "strict", help = "warnings fail too" },
		{ name = "dump", help = "print every option in force and where it was set" },
		{ name = "no-bind", help = "do not try the ports" },
	} },
	{ name = "status", summary = "what the host is doing", handler = "cli.status", flags = {
		{ name = "watch", help = "again and again, until Ctrl-C" },
		{ name = "json-lines", help = "with --watch: one JSON object a line" },
		{ name = "interval", value = "SECONDS", type = "period", hidden = true,
			help = "with --watch: time between two looks (1)" },
	} },
	{ name = "reload", args = "[MODULE]", summary = "check and apply the config, or reload a module",
		handler = "cli.control", words = 1, complete = "module", flags = {
			{ name = "host", value = "HOST", help = "only on this host" },
		} },
	{ name = "drain", args = "[SERVICE]", summary = "not ready, still serving; reversible",
		handler = "cli.control", words = 1, complete = "service", flags = {
			{ name = "wait", help = "until nothing is in flight" },
			{ name = "reason", value = "TEXT", help = "for the log" },
		} },
	{ name = "undrain", args = "[SERVICE]", summary = "ready again", handler = "cli.control",
		words = 1, complete = "service", flags = {} },
	{ name = "finish", summary = "drain, wait for the sessions, end without evicting",
		handler = "cli.stop", flags = {
			no_wait,
			{ name = "idle-wait", value = "SECONDS", type = "period",
				help = "longest wait for sessions to end" },
		} },
	{ name = "stop", summary = "end the host in phases and see it end", handler = "cli.stop",
		flags = {
			no_wait,
			{ name = "plan", help = "say what would happen, do nothing" },
			{ name = "reason", value = "TEXT", help = "for clients, log and report" },
			{ name = "code", value = "N", type = "integer", help = "exit status of the host" },
			{ name = "now", help = "no waiting; goodbyes are still written" },
			{ name = "hammer", help = "end it at once" },
			{ name = "extend", value = "SECONDS", type = "period",
				help = "more time for the stop that is running" },
			{ name = "abort", help = "back to serving, while no listener is closed" },
		} },
	{ name = "upgrade", summary = "a new binary without a lost request", handler = "cli.upgrade",
		flags = {
			no_wait,
			{ name = "check", help = "dry run" },
			{ name = "binary", value = "PATH", help = "this binary, this once" },
		} },
	{ name = "rollback", summary = "back to the previous generation", handler = "cli.upgrade",
		flags = { no_wait } },
	{ name = "activate", summary = "a passive host becomes the active one",
		handler = "cli.control", flags = {} },
	{ name = "shell", args = "[WORDS…]", summary = "console: interactive, one command, or stdin",
		handler = "cli.shell", raw = true, complete = "console", flags = {
			{ name = "width", value = "N", type = "integer", help = "columns of tables" },
		} },
	{ name = "lua", args = "[-e CODE | FILE] [ARG…]", summary = "interpreter with the host's loop",
		handler = "cli.lua", raw = true, flags = {
			{ name = "execute", short = "e", value = "CODE", help = "run this text" },
		} },
	{ name = "new", args = "module NAME", summary = "a new module with its spec and config lines",
		handler = "cli.new", words = 2, flags = {
			{ name = "tcp", help = "a service on a TCP port (default)" },
			{ name = "http", help = "an HTTP endpoint" },
			{ name = "timer", help = "work at intervals" },
			{ name = "dir", value = "PATH", help = "where the files go (modules)" },
		} },
	{ name = "completion", args = "bash|zsh|fish", summary = "completion file for a shell",
		handler = "cli.completion", words = 1, flags = {} },
}

commands.by_name = {}
for _, command in ipairs(commands.list) do
	commands.by_name[command.name] = command
end

--- @return list of the flags that a command takes, its own and the common ones
function commands.flags_of(command)
	local flags <const> = {}
	for _, list in ipairs { command and command.flags or commands.global, commands.common } do
		for _, flag in ipairs(list) do
			flags[#flags + 1] = flag
		end
	end
	return flags
end

return commands
