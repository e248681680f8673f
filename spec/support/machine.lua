--- core/lifecycle itself in this process, without keeper and modules: made anew as often as a spec
-- wants, and driven by the loop.

local host_loop <const> = require "host.loop"
local timer <const> = require "host.timer"

local machine <const> = {}

-- A machine that has ended cannot begin again: each one has its own set of the runtime's files.
local function forget()
	for name in pairs(package.loaded) do
		if name:match("^core%.") then
			package.loaded[name] = nil
		end
	end
end

local real_exit <const> = os.exit

--- A new host in the state "starting".
---@return table machine: lifecycle, states and life (the runtime's own tables), events, moves (list
--- of { from, to }), falls (hammers so far), start(), turn([seconds])
function machine.new()
	forget()
	os.exit = real_exit -- luacheck: ignore 122
	local runtime <const> = require "core.runtime"
	local prosody <const> = runtime.build {}
	local self <const> = { moves = {}, falls = 0, events = prosody.events }
	self.lifecycle = require "core.lifecycle"
	self.states = require "core.lifecycle_states"
	prosody.events.add_handler("lifecycle-changed", function (event)
		self.moves[#self.moves + 1] = { event.from, event.to }
	end)
	self.lifecycle.init()
	self.life = require "core.lifecycle_host"
	-- The hammer would end this process.
	function self.life.fall()
		self.falls = self.falls + 1
		return true
	end
	self.event = self.lifecycle.starting_event()
	function self.start()
		self.lifecycle.loaded()
	end
	--- Lets timers and ends of phases happen; a machine that ends leaves the loop, whoever runs it.
	function self.turn(seconds)
		local till <const> = host_loop.monotonic() + (seconds or 0)
		repeat
			timer.add(math.max(0, till - host_loop.monotonic()), host_loop.quit)
			host_loop.run()
		until host_loop.monotonic() >= till
	end
	return self
end

return machine
