-- Two verbs at once: a host that ends or has failed.
local daemon <const> = require "spec.support.daemon"
local shutdown <const> = require "spec.support.shutdown"
local two <const> = require "spec.support.two_verbs"
local wait <const> = require "spec.support.wait"

local ask <const> = two.ask
local clear <const> = two.clear
local ends <const> = two.ends
local reach <const> = two.reach
local refused <const> = two.refused

-- state → verb → { what happens, in words; function }
local cells <const> = {
	finishing = {
		reload = { "is refused as finishing", function (d)
			ask(d, "reload")
			d:wait_log("cannot reload: finishing")
			assert.equal("finishing", d:state().state)
		end },
		drain = { "is done already", function (d)
			assert.equal("true", d.control "return lifecycle.drain()")
			assert.equal("finishing", d:state().state)
		end },
		undrain = { "serves again", function (d)
			ask(d, "undrain")
			reach(d, "serving")
			d.client:send("on\n")
			assert.equal("on", d.client:line())
			d.client:close()
			ask(d, "stop") -- the first one, again
			ends(d, 0)
		end },
		finish = { "is done already", function (d)
			assert.equal("true", d.control "return lifecycle.finish()")
			ask(d, "finish")
			d:wait_log("SIGUSR1 from pid")
			assert.equal("finishing", d:state().state)
			d.client:close()
			ends(d, 0)
		end },
		stop = { "stops: the idle wait ends", function (d)
			ask(d, "stop")
			ends(d, 0)
			assert.same({ "bye: SIGTERM" }, shutdown.rest(d.client))
			assert.equal("shutdown", shutdown.report(d).verb)
		end },
	},
	["the teardown of finishing"] = {
		undrain = { "is refused: the teardown has begun", function (d)
			refused(d, "undrain", "the teardown has begun")
			clear(d, "teardown")
			ends(d, 0)
		end },
		stop = { "overtakes it and evicts", function (d)
			ask(d, "stop")
			d:wait_log("finishing %-> stopping")
			clear(d, "teardown")
			ends(d, 0)
			assert.is_true(shutdown.report(d).evict)
		end },
	},
	stopping = {
		reload = { "is refused as stopping", function (d)
			ask(d, "reload")
			d:wait_log("cannot reload: stopping")
		end },
		drain = { "is refused, with phase and time left", function (d)
			refused(d, "drain", "stopping (phase close-clients, ")
		end },
		undrain = { "is refused, with phase and time left", function (d)
			refused(d, "undrain", "stopping (phase close-clients, ")
		end },
		finish = { "changes nothing", function (d)
			assert.equal("true", d.control "return lifecycle.finish()")
			ask(d, "finish")
			d:wait_log("SIGUSR1 from pid")
			assert.equal("close-clients", d:state().phase)
			clear(d, "busy")
			ends(d, 0)
		end },
		stop = { "hurries: the current phase ends", function (d)
			wait.sleep(1.1) -- what comes sooner is the same request
			ask(d, "stop")
			ends(d, 75)
			assert.equal(1, shutdown.report(d).hurried)
		end },
	},
	["the lame-duck phase"] = {
		abort = { "is the way back to serving", function (d)
			assert.equal("true", d.control "return lifecycle.abort()")
			reach(d, "serving")
		end },
	},
	failed = {
		reload = { "reads the config and starts a worker at once", function (d)
			clear(d, "die")
			ask(d, "reload")
			reach(d, "serving")
		end },
		drain = { "is refused: no worker", function (d)
			ask(d, "drain")
			d:wait_log("cannot drain: no worker")
			assert.equal("failed", d:state().state)
		end },
		undrain = { "is refused: no worker", function (d)
			ask(d, "undrain")
			d:wait_log("cannot undrain: no worker")
		end },
		finish = { "ends with 70", function (d)
			ask(d, "finish")
			ends(d, 70)
		end },
		stop = { "ends with 70", function (d)
			ask(d, "stop")
			ends(d, 70)
		end },
	},
}

describe("two verbs at once:", function ()
	after_each(daemon.finish_all)
	two.run(it, cells)
end)
