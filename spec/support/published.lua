--- Prosody's own specs, as its source tree has them, run against our libraries: each file in a
-- process of its own, in a folder that has nothing but them, so that no library is Prosody's.

local process <const> = require "spec.support.process"
local stat <const> = require "posix.sys.stat"
local unistd <const> = require "posix.unistd"

local published <const> = {}

-- Seconds for one file; with sanitizers ten million rounds of PBKDF2 take their time.
local longest <const> = os.getenv "GADWALL_SLOW" and 240 or 60

--- Libraries of gadwall that have a published spec; and names of its tests that differ here, with
-- the reason. `env`: environment of the run. `outside`: its assertions stand outside of tests.
published.list = {
	{ name = "core_configmanager" }, { name = "core_moduleapi" },
	{ name = "core_storagemanager", label = "core_storagemanager (memory)",
		env = { PROSODY_TEST_ONLY_STORAGE = "memory" } },
	{ name = "core_storagemanager", label = "core_storagemanager (internal)",
		env = { PROSODY_TEST_ONLY_STORAGE = "internal" } },
	{ name = "net_http_parser" }, { name = "net_http_server" }, { name = "net_resolvers_service" },
	{ name = "net_websocket_frames" },
	{ name = "util_argparse" }, { name = "util_array" }, { name = "util_async" },
	{ name = "util_bitcompat" }, { name = "util_cache" }, { name = "util_crypto" },
	{ name = "util_datamanager", outside = true }, { name = "util_datetime" },
	{ name = "util_dbuffer" },
	-- With net.server a handler of util.signal runs in the loop, Prosody's too.
	{ name = "util_debug", differs = { ["util.debug get_traceback_table() works"] =
		"a handler of a signal runs in the loop, not inside raise()" } },
	{ name = "util_encodings" }, { name = "util_envload" }, { name = "util_error" },
	{ name = "util_events" }, { name = "util_format" }, { name = "util_fsm" },
	{ name = "util_hashes" }, { name = "util_hashring" }, { name = "util_hmac" },
	{ name = "util_http" }, { name = "util_human_io" }, { name = "util_human_units" },
	{ name = "util_indexedbheap" }, { name = "util_interpolation" }, { name = "util_ip" },
	{ name = "util_iterators" }, { name = "util_jid" }, { name = "util_json" },
	{ name = "util_jsonpointer" }, { name = "util_jwt" }, { name = "util_multitable" },
	{ name = "util_paths" }, { name = "util_promise" }, { name = "util_queue" },
	{ name = "util_random" }, { name = "util_ringbuffer" }, { name = "util_serialization" },
	{ name = "util_stanza" }, { name = "util_strbitop" }, { name = "util_table" },
	{ name = "util_throttle" }, { name = "util_time" }, { name = "util_uuid" }, { name = "util_xml" },
}

--- @return the folder of the specs, or nil (contrib/deps.sh peers brings it)
function published.folder()
	local folder <const> = unistd.getcwd() .. "/.deps/peers/prosody-specs/spec"
	return stat.stat(folder) and folder
end

local function read(text)
	local result <const> = { passed = 0, failed = {}, skipped = 0, text = text }
	for kind, name in text:gmatch "\nT (%l+) ?([^\n]*)" do
		if kind == "pass" then
			result.passed = result.passed + 1
		elseif kind == "skip" then
			result.skipped = result.skipped + 1
		elseif kind == "fail" then
			result.failed[#result.failed + 1] = name
		elseif kind == "end" then
			result.ended = true
		end
	end
	return result
end

--- Runs one of the list.
-- @param program the gadwall that runs it
-- @return passed (count), failed (names), skipped (count), ended (bool), text (all that it wrote)
function published.run(one, program)
	local here <const> = unistd.getcwd()
	local room <const> = process.temp_dir()
	unistd.link(assert(published.folder()), room .. "/spec", true)
	process.write_file(room .. "/nothing.lua", "") -- Prosody's own helper wants its source tree
	local env <const> = { LUA_PATH = false, LUA_CPATH = false, TMPDIR = room }
	for key, value in pairs(one.env or {}) do env[key] = value end
	local _, out, err = process.run { cwd = room, env = env, timeout = longest, argv = {
		program:find "^/" and program or here .. "/" .. program, "lua",
		os.getenv "BUSTED" or "/usr/bin/busted", "--helper=nothing.lua",
		"--output=" .. here .. "/spec/support/tally.lua", "spec/" .. one.name .. "_spec.lua" } }
	process.remove_tree(room)
	return read("\n" .. out .. err)
end

return published
