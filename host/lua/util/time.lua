-- now(): real time, monotonic(): never runs backwards; both in seconds with fractions.

local ok <const>, loop <const> = pcall(require, "host.loop")
if ok then
	return { now = loop.now, monotonic = loop.monotonic }
end

-- Outside the host, for specs of pure libraries: whole seconds, and processor time.
return {
	now = function () return os.time() + 0.0 end,
	monotonic = os.clock,
}
