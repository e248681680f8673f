local server <const> = require "net.server"
local turns <const> = require "spec.support.turns"

local run_until <const> = turns.run_until

-- Sends `total` bytes of a pattern as fast as the peer takes them, and checks what comes.
local function talker(total, letter)
	local state = { sent = 0, got = 0, wrong = 0, peak = 0 }
	local piece = letter:rep(50000)
	local function more(conn)
		while state.sent < total and conn:queued() < 200000 do
			state.sent = state.sent + conn:write(piece)
		end
	end
	state.listeners = {
		onconnect = more, ondrain = more,
		onincoming = function (_, data)
			state.got = state.got + #data
			if data:find(state.other, 1, true) == nil or data:find(letter, 1, true) then
				state.wrong = state.wrong + 1
			end
		end,
		ondisconnect = function (_, why) state.why = why end,
	}
	return state
end

describe("link", function ()
	after_each(turns.close_all)

	it("carries 10 MB in both directions and never holds much of it", function ()
		local total <const> = 10 * 1000 * 1000
		local a, b = talker(total, "a"), talker(total, "b")
		a.other, b.other = "b", "a"
		local peak = 0
		local target = assert(server.listen("127.0.0.1", 0, b.listeners))
		local proxy = assert(server.listen("127.0.0.1", 0, { onconnect = function (conn)
			local onward
			onward = assert(server.addclient("127.0.0.1", target:serverport(), {
				onconnect = function ()
					server.link(conn, onward, 65536)
					server.link(onward, conn, 65536)
				end,
				ondisconnect = function () conn:close() end,
			}))
			conn:pause()
			conn.ondisconnect = function () onward:close() end
			server.add_task(0.01, function ()
				if conn:state() == "closed" then return end
				peak = math.max(peak, conn:queued(), onward:queued())
				return 0.001
			end)
		end }))
		local conn = assert(server.addclient("127.0.0.1", proxy:serverport(), a.listeners))
		run_until(function () return a.got >= total and b.got >= total end, 20, "the bytes")
		assert.equal(total, a.got)
		assert.equal(total, b.got)
		assert.equal(0, a.wrong + b.wrong)
		assert.is_true(peak <= 65536, "held " .. peak)
		conn:close()
		run_until(function () return b.why end, 2, "the end to go through")
		assert.equal("closed", b.why)
	end)

	it("stops reading while the other side does not take it", function ()
		local received = 0
		local blocked
		local sink = assert(server.listen("127.0.0.1", 0, {
			onconnect = function (conn)
				blocked = conn
				conn:pause()
			end,
			onincoming = function (_, data) received = received + #data end,
		}))
		local proxy = assert(server.listen("127.0.0.1", 0, { onconnect = function (conn)
			local onward = assert(server.addclient("127.0.0.1", sink:serverport(), {}))
			server.link(conn, onward, 8192)
		end }))
		local conn = assert(server.addclient("127.0.0.1", proxy:serverport(), {}))
		conn:write(("x"):rep(30 << 20))
		turns.run_for(0.3)
		assert.equal(0, received)
		assert.is_true(conn:queued() > 5 << 20)
		blocked:resume()
		run_until(function () return received == 30 << 20 end, 20, "the bytes")
	end)
end)
