--- What is checked at the end of every daemon of spec.support.daemon: each check adds its faults,
-- sentences for people, to a list.

local client <const> = require "spec.support.client"
local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

local checks <const> = {}

-- What no log of a healthy run holds; `allow` lists patterns of lines that a spec expects.
local suspicious <const> = {
	"Sanitizer", "runtime error:", "%f[%w]alert%f[%W]", "%f[%w]fatal%f[%W]", "Error calling",
	"[Aa]ssertion .* failed", "stack traceback:", "unprotected error",
}

--- Notes all processes that the daemon has, so that its end can be judged.
function checks.remember(self)
	if not self.keeper then return end
	for _, info in ipairs(process.descendants(self.keeper.pid)) do
		self.known[info.pid .. ":" .. info.started] = info
	end
end

--- Notes the descriptors of a ready daemon: what a worker opens in its first turns is its own.
function checks.note_fds(self)
	local before, maps
	wait.try(function()
		local now = self:fd_counts()
		local same = before ~= nil
		for pid, count in pairs(now) do same = same and before[pid] == count end
		before, maps = now, {}
		for pid in pairs(now) do maps[pid] = process.fds(pid) end
		return same
	end, 0.3, function() wait.sleep(0.02) end)
	self.fd_base, self.fd_targets = before, maps
end

-- The targets of descriptors that were not there when it was ready, for people.
local function new_targets(now, base)
	local list = {}
	for fd, target in pairs(now) do
		if base[fd] ~= target then list[#list + 1] = ("%d %s"):format(fd, target) end
	end
	return table.concat(list, ", ")
end

-- On a busy machine, and more so with sanitizers, what takes no time takes long: the place that is
-- named then is no fault. But what takes a second is.
local sanitized <const> = os.getenv "GADWALL_SLOW" ~= nil

local function slow(line)
	local seconds <const> = line:match "A callback took ([%d.]+) s"
	return seconds and (sanitized or tonumber(seconds) < 1)
end

local function allowed(self, line)
	if slow(line) then return true end
	for _, pattern in ipairs(self.spec.allow or {}) do
		if line:find(pattern) then return true end
	end
	return false
end

--- Lines of the log that a clean run does not have.
function checks.log(self, faults)
	for _, line in ipairs(self:log_lines()) do
		for _, pattern in ipairs(suspicious) do
			if line:find(pattern) and not allowed(self, line) then
				faults[#faults + 1] = "log: " .. line
				break
			end
		end
	end
end

--- Descriptors are compared while it still serves, after our own clients have gone.
function checks.fds(self, faults)
	if self.spec.fds == false or not self.fd_base or self.keeper:status() then return end
	client.close_all()
	local function gained()
		for pid, count in pairs(self:fd_counts()) do
			local base = self.fd_base[pid]
			if base and count > base then
				return ("pid %d has %d descriptors, had %d when ready; new: %s"):format(pid, count,
					base, new_targets(process.fds(pid), self.fd_targets[pid]))
			end
		end
	end
	if not wait.try(function() return not gained() end, 2) then
		faults[#faults + 1] = gained()
	end
end

--- No process that it ever had is left.
function checks.children(self, faults)
	local function left()
		for _, info in pairs(self.known) do
			if process.alive(info.pid, info.started) then return info end
		end
	end
	if wait.try(function() return not left() end, 2) then return end
	for _, info in pairs(self.known) do
		if process.alive(info.pid, info.started) then
			faults[#faults + 1] = ("process %d (%s) was left behind"):format(info.pid, info.name)
			process.kill(info.pid, "KILL")
		end
	end
end

--- The exit status is the declared one.
function checks.exit(self, faults)
	local expected = self.spec.exit or 0
	if self.spec.exit == false or self.exit_status == expected then return end
	if self.spec.expect_exit and self.spec.exit == nil then return end
	faults[#faults + 1] = ("exit status %s instead of %s"):format(self.exit_status or "none", expected)
end

return checks
