-- Tells how many connections each worker holds, for the item `share` of the benchmark.
module:set_global()

module:provides("net", { name = "bench_share", listener = {
	onincoming = function (conn, data) conn:write(data) end,
} })

module:hook("bench-share-tell", function ()
	for _, server in ipairs(require "net.server".servers()) do
		if server:service() == "bench_share" then
			local s <const> = server:stats()
			module:log("warn", "worker %d has %d, accepted %d, woken %d", prosody.worker,
				s.connections, s.accepted, s.wakeups)
		end
	end
end)

module:add_item("shell-command", { name = "tell", desc = "logs every worker's connections",
	args = {}, handler = function ()
		module:fire_event_all("bench-share-tell", {})
		return true, "told"
	end })
