-- Every probe, in the order in which they run: list of { name, function(toolkit) }.

local probes <const> = {}

for _, part in ipairs { "functions", "timers", "handles", "callbacks", "reading", "writing",
	"foreign", "secure", "ending" } do
	for _, probe in ipairs(require("spec.support.differential." .. part)) do
		probe.secure = part == "secure"
		probes[#probes + 1] = probe
	end
end

return probes
