std, codes, self = "lua54", true, false
max_line_length, max_cyclomatic_complexity = 100, 12
-- `prosody` is the table that users of Prosody's modules know as a global.
files["host/lua"] = { globals = { "prosody" } }
-- Loads in text mode only: boot.lua replaces the functions that would take bytecode.
files["host/lua/boot.lua"] = { globals = { "load", "loadfile", "dofile", "string.dump" } }
files["modules"] = { read_globals = { "module", "prosody" },
	globals = { "module.load", "module.unload", "module.save", "module.restore", "module.ready",
		"module.command", "module.add_host", "module.environment", "module.keep_connections" } }
files["contrib/examples"] = files["modules"]
files["contrib/demo/mod_demo.lua"] = files["modules"]
files["contrib/bench/peers/*/mod_*.lua"] = files["modules"]
files["contrib/bench/peers/haproxy.lua"] = { read_globals = { "core" } }
files["contrib/examples/*.cfg.lua"] = { allow_defined_top = true, global = false }
files["spec"] = { std = "+busted", max_cyclomatic_complexity = false }
exclude_files = { "build/", ".deps/", "dist/", "run/", "spec/data/", "contrib/fuzz/corpus/" }
