local events_list <const> = require "core.events_list"
local option_types <const> = require "core.option_types"
local options <const> = require "core.options"
local process <const> = require "spec.support.process"

describe("core.option_types", function ()
	it("reads periods as Prosody 13 does", function ()
		local period = option_types.period
		assert.equal(90, period(90))
		assert.equal(90, period("90"))
		assert.equal(300, period("5 minutes"))
		assert.equal(172800, period("2 days"))
		assert.equal(0.5, period("500ms"))
		assert.equal(60, period("minute"))
		for _, never in ipairs { "never", -1, -0.5 } do
			assert.equal(math.huge, period(never))
		end
		assert.equal(math.huge, period(false))
		for _, wrong in ipairs { "soon", "5 parsecs", "", {}, true } do
			assert.is_nil((period(wrong)))
		end
		assert.is_nil((period(0 / 0)))
	end)

	it("reads the other types, and says what it expected", function ()
		assert.same({ true, false, true, false }, { option_types.boolean("true"),
			option_types.boolean(0), option_types.boolean { true }, option_types.boolean("false") })
		assert.same({ nil, "true or false" }, { option_types.boolean("yes") })
		assert.equal(3, option_types.integer("3"))
		assert.same({ nil, "a whole number" }, { option_types.integer(3.5) })
		assert.same({ "x" }, option_types.array("x"))
		assert.equal("first", option_types.string { "first", "second" })
		assert.same({ nil, 'one of "a", "b"' }, { option_types.enum("c", { "a", "b" }) })
		assert.is_nil((option_types.port(65536)))
		assert.is_nil((option_types.octal("999")))
		assert.equal("027", option_types.octal("027"))
	end)
end)

describe("module:get_option_number, _integer and _period", function ()
	local config <const> = require "core.configmanager"
	local api <const> = require "core.moduleapi_options"
	local levels

	local function get(kind, value, ...)
		config.set("*", "some_option", value)
		levels = {}
		local module <const> = setmetatable({ host = "*", _options_read = {} }, { __index = api })
		function module:log(level) levels[#levels + 1] = level end -- luacheck: ignore 212/self
		return module["get_option_" .. kind](module, "some_option", ...)
	end
	after_each(function () config.set("*", "some_option", nil) end)

	it("take a default as it is, and a value within its bounds", function ()
		assert.equal(7, get("number", nil, 7, 2, 4))
		assert.equal(0, get("integer", nil, 0, 1))
		assert.same({}, levels)
		assert.equal(4, get("number", 9, 7, 2, 4))
		assert.equal(2, get("integer", "1", 7, 2, 4))
		assert.same({ "warn" }, levels)
	end)

	it("cut off what is behind the point of an integer, with a warning", function ()
		assert.equal(1, get("integer", 1.5, 7))
		assert.same({ "warn" }, levels)
		assert.equal(1000, get("integer", "1e3"))
		assert.same({}, levels)
		for _, none in ipairs { 1e300, 1 / 0, "many" } do
			assert.is_nil(get("integer", none, 7))
			assert.same({ "error" }, levels)
		end
	end)

	it("know no bound for never", function ()
		for _, never in ipairs { "never", -1, false } do
			assert.equal(math.huge, get("period", never, "1 day", "1 minute", "1 hour"))
			assert.same({}, levels)
		end
		assert.equal(3600, get("period", "2 hours", "1 minute", "1 minute", "1 hour"))
	end)
end)

describe("core.options", function ()
	it("has a sound row for every option", function ()
		local seen = {}
		for _, row in ipairs(options.list) do
			assert.is_nil(seen[row.name], row.name)
			seen[row.name] = true
			assert.is_function(row.type == "enum" and print or option_types[row.type], row.name)
			assert.is_string(row.doc, row.name)
			assert.is_truthy(({ live = 1, module = 1, upgrade = 1, start = 1 })[row.reload], row.name)
			local default = row.default
			if default ~= nil and row.type ~= "list" and not row.off then
				assert.is_truthy(options.parse(row, default) ~= nil, row.name)
			end
		end
	end)

	it("has every option of the interface", function ()
		for name in ([[modules_enabled modules_disabled plugin_paths lua_paths data_path runtime_path
			pidfile admin_socket admin_socket_group admin_shell_prompt console_banner user group
			run_as_root umask workers log debug gc statistics statistics_interval statistics_config
			interfaces local_interfaces use_ipv4 use_ipv6 ssl certificates network_settings
			network_default_read_size max_connections max_connections_per_ip
			max_connection_rate_per_ip limits_exempt limits limits_resolution lua_memory_limit
			slow_callback callback_timeout worker_heartbeat worker_timeout start_timeout
			restart_backoff restart_limit orphan_timeout signals lameduck_period lameduck_signals
			lameduck_probe_window lameduck_hook_timeout shutdown_timeout shutdown_phases
			shutdown_pause shutdown_report close_spread goodbye hammer_time drain_refuses_new
			finish_idle_wait job_timeout process_kill_timeout server_id]]):gmatch("%S+") do
			assert.is_table(options.row(name), name)
		end
		assert.same({ 25, 60, 3, 10 }, { options.read("shutdown_timeout"),
			options.read("hammer_time"), options.read("lameduck_period"),
			options.read("worker_timeout") })
	end)
end)

describe("core.events_list", function ()
	local function sources()
		local glob = require "posix.glob".glob
		local list = {}
		for _, pattern in ipairs { "host/lua/core/*.lua", "host/lua/net/*.lua",
			"host/lua/core/console/*.lua", "modules/mod_*.lua" } do
			for _, path in ipairs(glob(pattern, 0) or {}) do
				list[#list + 1] = path
			end
		end
		return list
	end

	it("declares every event that the runtime and our modules fire on prosody.events", function ()
		for _, path in ipairs(sources()) do
			local text = process.read_file(path)
			for front, name in text:gmatch('([%w_.:()]*)fire_event%(%s*"([%w%-/]+)"') do
				-- A module's own event on its host, or net.http's on its client, needs no declaration.
				if not front:find("module:") and not front:find("self[:.]")
				and not front:find("http.events", 1, true) then
					assert.is_truthy(events_list.declared(name), path .. ": " .. name)
				end
			end
		end
	end)

	it("knows families by their front, and how answers count", function ()
		assert.equal("signal/NAME", events_list.declared("signal/SIGHUP"))
		assert.equal("shutdown/<phase>", events_list.declared("shutdown/lame-duck"))
		assert.equal("first", events_list.mode("signal-before/SIGTERM"))
		assert.equal("all", events_list.mode("server-stopping"))
		assert.is_nil(events_list.mode("somebody-elses-event"))
	end)
end)

describe("core.port_address", function ()
	local port_address <const> = require "core.port_address"

	it("makes names without a colon, of at most 255 bytes, one for each address", function ()
		local names = {}
		for _, case in ipairs { { "::", 7007, 1 }, { "::1", 7007, 1 }, { "*", 7007, 1 },
			{ "*", 7007, 2 }, { "*", "7007 ", 1 }, { "/a/b", "unix", 1 }, { "%3A", 1, 1 },
			{ ("/x"):rep(300), 1, 1 }, { ("/x"):rep(300) .. "y", 1, 1 } } do
			local name = port_address.hold_name("echo", case[1], case[2], case[3])
			assert.is_nil(name:find(":", 1, true))
			assert.is_true(#name <= 255)
			assert.is_nil(names[name], name)
			names[name] = true
		end
		assert.equal("echo/127.0.0.1/7007/1", port_address.hold_name("echo", "127.0.0.1", 7007, 1))
	end)
end)

describe("core.loggingmanager", function ()
	local loggingmanager <const> = require "core.loggingmanager"

	it("turns every form of the option log into rules", function ()
		local rules = loggingmanager.rules
		assert.same({ { to = "console", levels = { min = "info" } } }, rules(nil))
		assert.same({ { to = "console", levels = { min = "debug" } } }, rules(nil, true))
		assert.same({ { to = "file", filename = "a.log", timestamps = true,
			levels = { min = "info" } } }, rules "a.log")
		assert.same({ { to = "syslog", levels = { min = "debug" } } }, rules "*syslog")
		assert.same({}, rules {})
		local custom = { to = "mine", levels = "debug" }
		assert.same({ { to = "file", filename = "e.log", timestamps = true,
			levels = { min = "error" } }, custom, { to = "console", levels = { min = "debug" } } },
			rules { error = "e.log", custom, "*console" })
	end)
end)

describe("util.openmetrics", function ()
	local statistics <const> = require "util.statistics"

	it("renders families in OpenMetrics' text", function ()
		local registry = statistics.new().metric_registry
		registry:gauge("g", "", "a \"gauge\"", { "l" }):with_labels('x"\n'):set(1.5)
		local counter = registry:counter("c", "bytes", "bytes", {})
		counter:with_labels():add(2)
		local text = registry:render()
		assert.matches('# TYPE g gauge\ng{l="x\\"\\n"} 1.5\n', text, 1, true)
		assert.matches("# UNIT c_bytes bytes\n", text, 1, true)
		assert.matches("\nc_bytes_total 2\n", text, 1, true)
		assert.matches("# EOF\n$", text)
	end)

	it("counts a sample in every bucket that it fits", function ()
		local registry = statistics.new().metric_registry
		local metric = registry:histogram("h", "", "", {}, { buckets = { 1, 10 } }):with_labels()
		metric:sample(0.5)
		metric:sample(5)
		metric:sample(50)
		local text = registry:render()
		assert.matches('h_bucket{le="1"} 1\n', text, 1, true)
		assert.matches('h_bucket{le="10"} 2\n', text, 1, true)
		assert.matches('h_bucket{le="+Inf"} 3\n', text, 1, true)
		assert.matches("h_sum 55.5\n", text, 1, true)
	end)

	it("gives a reloaded module its old family, and a changed one a new", function ()
		local registry = statistics.new().metric_registry
		local first = registry:gauge("g", "", "", { "a" })
		assert.equal(first, registry:gauge("g", "", "", { "a" }))
		assert.not_equal(first, registry:gauge("g", "", "", { "a", "b" }))
		assert.has_error(function () first:with_labels() end)
		assert.equal(first:with_labels("x"), first:with_partial_label("x"):with_labels())
	end)
end)
