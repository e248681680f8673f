-- Two verbs at once: a host that starts, serves or drains.
local daemon <const> = require "spec.support.daemon"
local shutdown <const> = require "spec.support.shutdown"
local two <const> = require "spec.support.two_verbs"
local wait <const> = require "spec.support.wait"

local ask <const> = two.ask
local clear <const> = two.clear
local count <const> = two.count
local ends <const> = two.ends
local reach <const> = two.reach

-- state → verb → { what happens, in words; function }
local cells <const> = {
	starting = {
		reload = { "is kept, once, and run after ready", function (d)
			ask(d, "reload") ask(d, "reload") ask(d, "reload")
			d:wait_log("SIGHUP from pid")
			assert.equal(0, count(d, "the new config goes"))
			clear(d, "hold")
			reach(d, "serving")
			d:wait_log("the new config goes to the workers")
			wait.sleep(0.3)
			assert.equal(1, count(d, "the new config goes"))
		end },
		drain = { "starts up draining", function (d)
			ask(d, "drain")
			d:wait_log("drain: waits until the host is ready", 20)
			clear(d, "hold")
			reach(d, "draining")
			assert.equal(0, count(d, "keeper.*%-> serving"))
		end },
		undrain = { "takes a drain back that has not begun", function (d)
			ask(d, "drain")
			d:wait_log("drain: waits until the host is ready", 20)
			ask(d, "undrain")
			d:wait_log("drain: taken back", 20)
			clear(d, "hold")
			reach(d, "serving")
			assert.equal(0, count(d, "%-> draining"))
		end },
		finish = { "is a stop: what was loaded is unloaded, 0", function (d)
			ask(d, "finish")
			ends(d, 0)
			assert.equal(1, count(d, "the gate is unloaded"))
		end },
		stop = { "abandons it: what was loaded is unloaded, 0", function (d)
			ask(d, "stop")
			ends(d, 0)
			assert.equal(1, count(d, "the gate is unloaded"))
			assert.equal(0, count(d, "%-> serving"))
		end },
	},
	serving = {
		reload = { "is done", function (d)
			ask(d, "reload")
			d:wait_log("the new config goes to the workers")
		end },
		drain = { "drains", function (d)
			ask(d, "drain")
			reach(d, "draining")
		end },
		undrain = { "is done already", function (d)
			assert.equal("true", d.control "return lifecycle.undrain()")
			ask(d, "undrain")
			d:wait_log("SIGURG from pid")
			assert.equal("serving", d:state().state)
		end },
		finish = { "finishes through draining", function (d)
			ask(d, "finish")
			ends(d, 0)
			assert.equal("starting serving, serving draining, draining finishing",
				table.concat(shutdown.moves(d), ", "))
		end },
		stop = { "stops", function (d)
			ask(d, "stop")
			ends(d, 0)
		end },
	},
	draining = {
		reload = { "is done, and it goes on draining", function (d)
			ask(d, "reload")
			d:wait_log("the new config goes to the workers")
			wait.sleep(0.2)
			assert.equal("draining", d:state().state)
			assert.equal("false draining", d.control "return lifecycle.ready()")
		end },
		drain = { "is done already", function (d)
			assert.equal("true", d.control "return lifecycle.drain()")
			assert.same({ "drain-started" }, shutdown.seen(d, "drain-"))
		end },
		undrain = { "serves again", function (d)
			ask(d, "undrain")
			reach(d, "serving")
		end },
		finish = { "finishes", function (d)
			ask(d, "finish")
			ends(d, 0)
		end },
		stop = { "stops, without lame-duck if it drained longer than lameduck_period", function (d)
			wait.sleep(0.4)
			ask(d, "stop")
			ends(d, 0)
			assert.same({}, shutdown.seen(d, "lameduck-"))
			assert.equal("stop-accepting", shutdown.report(d).phases[1].phase)
		end },
	},
}

describe("two verbs at once:", function ()
	after_each(daemon.finish_all)
	two.run(it, cells)
end)
