--- Real Prosody beside the daemon, from the unpacked package: the oracle of specs that run one and
-- the same module on both.

local process <const> = require "spec.support.process"
local stat <const> = require "posix.sys.stat"
local wait <const> = require "spec.support.wait"

local prosody <const> = {}
local methods <const> = {}
local mt <const> = { __index = methods }

local running = {}

local function find_root()
	for _, folder in ipairs { ".deps/peers", "/tmp/ref" } do
		if process.read_file(folder .. "/usr/lib/prosody/util/startup.lua") then
			return folder:sub(1, 1) == "/" and folder or require "posix.unistd".getcwd() .. "/" .. folder
		end
	end
end

--- The folder of the package's modules; nil if it is not here, or what it needs is not.
function prosody.modules()
	local root = find_root()
	for _, library in ipairs { "lxp", "socket", "lfs" } do
		root = root and process.run { argv = { "lua5.4", "-e", ("require %q"):format(library) } } == 0
			and root
	end
	return root and root .. "/usr/lib/prosody/modules"
end

-- The package's program has its folders written into it; a copy in our temp folder has ours.
local function program(dir, root)
	local text = assert(process.read_file(root .. "/usr/bin/prosody"))
	text = text:gsub("'/usr/lib/prosody", "'" .. root .. "/usr/lib/prosody")
		:gsub("'/etc/prosody", "'" .. dir):gsub("'/var/lib/prosody", "'" .. dir .. "/data")
	process.write_file(dir .. "/prosody", text)
	return dir .. "/prosody"
end

local config <const> = [[
data_path = "%s/data"; pidfile = "%s/prosody.pid"; plugin_paths = { "%s/modules" }
modules_disabled = { "c2s", "s2s", "s2s_auth_certs", "offline", "tls", "saslauth", "presence",
	"message", "iq", "mimicking" }
log = { debug = "%s/log" }; interfaces = { "127.0.0.1" }; run_as_root = true
%s
modules_enabled = { "oracle_ready", %s }
VirtualHost "localhost"
]]

local ready <const> = [[
module:set_global()
module:hook("server-started", function () module:log("info", "oracle is ready") end)
]]

--- @param spec table: config (text), or prepare(dir) → text; enable (list of modules), modules
--- (name → source)
-- @return object with `dir`, log(), wait_log(pattern, seconds), signal(name), stop()
function prosody.start(spec)
	local self = setmetatable({ dir = process.temp_dir() }, mt)
	stat.mkdir(self.dir .. "/data", 448)
	stat.mkdir(self.dir .. "/modules", 448)
	for name, source in pairs(spec.modules or {}) do
		process.write_file(("%s/modules/mod_%s.lua"):format(self.dir, name), source)
	end
	process.write_file(self.dir .. "/modules/mod_oracle_ready.lua", ready)
	local enabled = '"' .. table.concat(spec.enable or {}, '", "') .. '"'
	process.write_file(self.dir .. "/prosody.cfg.lua", config:format(self.dir, self.dir, self.dir,
		self.dir, spec.prepare and spec.prepare(self.dir) or spec.config or "", enabled))
	self.process = process.spawn { cwd = self.dir, stdout = self.dir .. "/out", argv = { "lua5.4",
		program(self.dir, assert(find_root())), "--config", self.dir .. "/prosody.cfg.lua", "-F" } }
	running[#running + 1] = self
	self:wait_log "oracle is ready"
	return self
end

--- Everything that it wrote to its log.
function methods:log()
	return process.read_file(self.dir .. "/log") or ""
end

function methods:wait_log(pattern, seconds)
	local found = wait.try(function ()
		return self:log():match("[^\n]*" .. pattern) or self.process:status() and "ended"
	end, seconds or 10)
	if not found or found == "ended" then
		error(("Prosody: no log line like %q; log:\n%s\n%s"):format(pattern, self:log(),
			process.read_file(self.dir .. "/out") or ""), 2)
	end
	return found
end

function methods:signal(name)
	return self.process:signal(name)
end

function methods:stop()
	self.process:destroy()
	if not os.getenv "KEEP" then process.remove_tree(self.dir) end
end

--- For after_each.
function prosody.finish_all()
	for _, one in ipairs(running) do one:stop() end
	running = {}
end

return prosody
