-- The lifecycle as data: states, legal moves, Prosody's words, and what is answered to a verb
-- that a state does not allow. Specs read these tables and try every move that is not in them.

local states <const> = {}

--- All states, in the order of a life.
states.names = { "starting", "passive", "serving", "draining", "finishing", "stopping", "stopped" }

--- legal[from][to] is true; everything else is refused.
states.legal = {
	starting = { serving = true, passive = true, stopping = true },
	passive = { serving = true, stopping = true },
	serving = { draining = true, stopping = true },
	draining = { serving = true, finishing = true, stopping = true },
	-- undrain, until the teardown begins
	finishing = { draining = true, stopping = true, stopped = true },
	-- abort, until the first listener is closed
	stopping = { serving = true, stopped = true },
	stopped = {},
}

--- The four words that Prosody's `prosody.state` knows.
states.prosody_word = {
	starting = "starting", passive = "running", serving = "running", draining = "running",
	finishing = "running", stopping = "stopping", stopped = "stopped",
}

--- What the verb does in the state: "run", "noop" (done already, no error), "later" (kept until
-- ready), or the kebab-case reason of the refusal.
states.verbs = {
	drain = {
		starting = "later", passive = "passive", serving = "run", draining = "noop",
		finishing = "noop", stopping = "stopping", stopped = "stopping",
	},
	undrain = {
		starting = "later", passive = "noop", serving = "noop", draining = "run", finishing = "run",
		stopping = "stopping", stopped = "stopping",
	},
	finish = {
		starting = "stop", passive = "stop", serving = "run", draining = "run", finishing = "noop",
		stopping = "noop", stopped = "noop",
	},
	shutdown = {
		starting = "run", passive = "run", serving = "run", draining = "run", finishing = "run",
		stopping = "hurry", stopped = "noop",
	},
	reload = {
		starting = "later", passive = "run", serving = "run", draining = "run",
		finishing = "finishing", stopping = "stopping", stopped = "stopping",
	},
	abort = {
		starting = "not-stopping", passive = "not-stopping", serving = "not-stopping",
		draining = "not-stopping", finishing = "not-stopping", stopping = "run",
		stopped = "stopping",
	},
	extend = {
		starting = "not-stopping", passive = "not-stopping", serving = "not-stopping",
		draining = "not-stopping", finishing = "not-stopping", stopping = "run",
		stopped = "stopping",
	},
	activate = {
		starting = "starting", passive = "run", serving = "active", draining = "active",
		finishing = "active", stopping = "active", stopped = "active",
	},
	upgrade = {
		starting = "starting", passive = "passive", serving = "run", draining = "run",
		finishing = "finishing", stopping = "stopping", stopped = "stopping",
	},
	rollback = {
		starting = "starting", passive = "passive", serving = "run", draining = "run",
		finishing = "finishing", stopping = "stopping", stopped = "stopping",
	},
}

-- kebab reason → words for a person, and what can be done about it. %PHASE and %LEFT are filled in.
local texts <const> = {
	starting = { "starting", "wait until it is ready" },
	passive = { "passive", "run 'gadwall activate' first" },
	active = { "active already", "its state is %STATE" },
	finishing = { "finishing", "run 'gadwall undrain' to bring it back first" },
	stopping = { "stopping (phase %PHASE, %LEFT s left)",
		"wait for the end, or run 'gadwall stop --abort'" },
	["stopping-aborted"] = { "stopping (phase %PHASE, %LEFT s left)", "wait for the end" },
	["not-stopping"] = { "no stop is under way", "begin one with 'gadwall stop'" },
	["listener-closed"] = { "listener already closed", "let it end, then run it again" },
	["teardown-begun"] = { "the teardown has begun", "let it end, then run it again" },
	["no-keeper"] = { "no keeper", "a worker alone cannot; start it with 'gadwall run'" },
	refused = { "refused", "see 'gadwall status' and the log" },
	["unknown-service"] = { "no such service", "'port list' shows the services" },
	["bad-seconds"] = { "not a number of seconds", "give a number above 0, or a time like 30s" },
	["not-permitted"] = { "not permitted", "use the uid that runs it, or root" },
	vetoed = { "vetoed", "see the log" },
}

--- The line that a refused verb is answered with: `cannot VERB: REASON (what to do)`.
-- @param verb the word the person used
-- @param reason kebab-case reason
-- @param detail table, optional: `phase`, `left`, `state`, `text` (replaces the reason's words)
-- @return string
function states.refusal(verb, reason, detail)
	detail = detail or {}
	local text = texts[reason]
	if not text then
		return ("cannot %s: %s (see 'gadwall status')"):format(verb, detail.text or reason)
	end
	local words = detail.text or text[1]
	words = words:gsub("%%PHASE", detail.phase or "none")
		:gsub("%%LEFT", ("%.0f"):format(detail.left or 0))
	local remedy = text[2]:gsub("%%STATE", detail.state or "serving")
	return ("cannot %s: %s (%s)"):format(verb, words, remedy)
end

return states
