-- State machines as data; API and error texts of Prosody 13's util.fsm.

local events <const> = require "util.events"

local methods = {}
local mt <const> = { __index = methods }

local function is_fsm(o)
	return getmetatable(o) == mt
end

-- Before the move; the first non-nil answer vetoes it.
local function ask(fire, move)
	local ret = fire("transition", move)
	if ret == nil and move.from ~= move.to then ret = fire("leave/" .. move.from, move) end
	if ret == nil then ret = fire("transition/" .. move.name, move) end
	return ret
end

local function tell(fire, move)
	if move.from ~= move.to then fire("enter/" .. move.to, move) end
	if move.name then fire("transitioned/" .. move.name, move) end
	fire("transitioned", move)
end

local function transition_method(name)
	return function (self, attr)
		local states = self.fsm.states
		local from = self.state
		local to = states[from][name] or states["*"][name]
		if not to then
			error(("Invalid state transition: %s cannot %s"):format(from, name))
		end
		local fire = self.fsm.events.fire_event
		local move = {
			instance = self, name = name, to = to, to_attr = attr,
			from = from, from_attr = self.state_attr,
		}
		local veto = ask(fire, move)
		if veto ~= nil then return nil, veto end
		self.state, self.state_attr = to, attr
		tell(fire, move)
		return true
	end
end

local function add_transition(states, from, name, to)
	states[from] = states[from] or {}
	states[to] = states[to] or {}
	if states[from][name] then
		error(("Duplicate transition in FSM specification: %s from %s"):format(name, from))
	end
	states[from][name] = to
end

--- @param desc default_state (optional);
--   transitions: list of { name, from = state or list of states or "*", to };
--   state_handlers: state -> fn on entering;
--   transition_handlers: name -> fn before the move, a non-nil return vetoes it;
--   handlers: event -> fn for "transition", "leave/STATE", "transition/NAME" (these may veto),
--   "enter/STATE", "transitioned/NAME", "transitioned".
--   A handler gets { instance, name, from, from_attr, to, to_attr }.
-- @return fsm with init, is_instance, `states`, `events`
local function new(desc)
	local states, instance_methods = { ["*"] = {} }, {}
	if desc.default_state then states[desc.default_state] = {} end
	for _, transition in ipairs(desc.transitions or {}) do
		local from = transition.from
		for _, state in ipairs(type(from) == "table" and from or { from }) do
			add_transition(states, state, transition.name, transition.to)
		end
		instance_methods[transition.name] = transition_method(transition.name)
	end
	local self = setmetatable({
		default_state = desc.default_state,
		events = events.new(),
		states = states,
		_instance_mt = { __index = instance_methods },
	}, mt)
	for state, handler in pairs(desc.state_handlers or {}) do
		self.events.add_handler("enter/" .. state, handler)
	end
	for name, handler in pairs(desc.transition_handlers or {}) do
		self.events.add_handler("transition/" .. name, handler)
	end
	self.events.add_handlers(desc.handlers or {})
	return self
end

--- A new instance: fields `fsm`, `state`, `state_attr`. Each transition is a method (attr) -> true,
-- or nil, veto; it raises when the state does not allow it. Starting elsewhere than in the default
-- state counts as entering.
function methods:init(state, attr)
	state = assert(state or self.default_state, "no initial state specified")
	if not self.states[state] then error("Invalid initial state: " .. state) end
	local instance = setmetatable({ fsm = self, state = state, state_attr = attr }, self._instance_mt)
	if state ~= self.default_state then
		tell(self.events.fire_event, {
			instance = instance, to = state, to_attr = attr, from = self.default_state,
		})
	end
	return instance
end

function methods:is_instance(o)
	return getmetatable(o) == self._instance_mt
end

return { new = new, is_fsm = is_fsm }
