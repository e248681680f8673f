-- net.websocket.frames against the examples of RFC 6455 5.7, Prosody's own file, and chance.

local frames <const> = require "net.websocket.frames"
local process <const> = require "spec.support.process"

-- Pieces put together as an endpoint does: text that has come → list of { opcode, data }.
local function messages(text)
	local list, open = {}, nil
	while #text > 0 do
		local frame, size = frames.parse(text)
		assert(frame, "a frame that is not whole")
		text = text:sub(size + 1)
		if frame.opcode >= 8 then
			list[#list + 1] = { frame.opcode, frame.data }
		else
			open = open or { frame.opcode, "" }
			open[2] = open[2] .. frame.data
			if frame.FIN then
				list[#list + 1], open = open, nil
			end
		end
	end
	return list
end

describe("net.websocket.frames", function ()
	it("reads the examples of RFC 6455", function ()
		for text, want in pairs {
			["\x81\x05Hello"] = { opcode = 1, FIN = true, MASK = false, data = "Hello" },
			["\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"] =
				{ opcode = 1, FIN = true, MASK = true, data = "Hello", key = "\x37\xfa\x21\x3d" },
			["\x01\x03Hel"] =
				{ opcode = 1, FIN = false, MASK = false, data = ("Hello"):sub(1, 3) },
			["\x80\x02lo"] = { opcode = 0, FIN = true, MASK = false, data = "lo" },
			["\x89\x05Hello"] = { opcode = 9, FIN = true, MASK = false, data = "Hello" },
			["\x82\x7e\x01\x00" .. ("b"):rep(256)] =
				{ opcode = 2, FIN = true, MASK = false, data = ("b"):rep(256) },
			["\x82\x7f\0\0\0\0\0\1\0\0" .. ("b"):rep(65536)] =
				{ opcode = 2, FIN = true, MASK = false, data = ("b"):rep(65536) },
		} do
			local frame, size = frames.parse(text .. "more")
			assert.equal(#text, size)
			want.RSV1, want.RSV2, want.RSV3, want.length = false, false, false, #want.data
			assert.same(want, frame)
			assert.equal(text, frames.build(want))
		end
	end)

	it("puts a message in pieces together around a ping", function ()
		assert.same({ { 9, "?" }, { 1, "Hello" } }, messages("\x01\x03Hel\x89\x01?\x80\x02lo"))
	end)

	it("waits for the rest of a frame, and knows its header before", function ()
		local text = frames.build { opcode = 2, data = ("x"):rep(300), MASK = true, FIN = true }
		for size = 0, 7 do
			assert.same({ n = 3 }, table.pack(frames.parse(text:sub(1, size))))
		end
		for size = 8, #text - 1 do
			local frame, used, header = frames.parse(text:sub(1, size))
			assert.is_nil(frame or used)
			assert.equal(300, header.length)
		end
	end)

	it("reads from a util.dbuffer too, as modules do", function ()
		local buffer = require "util.dbuffer".new(100000)
		local text = frames.build { opcode = 2, data = ("ab"):rep(150), MASK = true, FIN = true }
		for i = 1, #text - 1, 100 do buffer:write(text:sub(i, math.min(i + 99, #text - 1))) end
		assert.is_nil((frames.parse(buffer)))
		buffer:write(text:sub(-1))
		local frame, size = frames.parse(buffer)
		assert.same({ ("ab"):rep(150), #text }, { frame.data, size })
	end)

	it("refuses lengths that are negative or written in more bytes than they need", function ()
		for _, text in ipairs { "\x82\x7f\xff\0\0\0\0\0\0\0", "\x82\x7e\0\x7d" .. ("x"):rep(125),
			"\x82\x7f\0\0\0\0\0\0\xff\xff" .. ("x"):rep(65535) } do
			assert.same({ nil, nil, "invalid-length", n = 3 }, table.pack(frames.parse(text)))
		end
	end)

	it("builds no control frame above 125 bytes, and no opcode above 15", function ()
		assert.has_error(function () frames.build { opcode = 9, data = ("x"):rep(126) } end)
		assert.has_error(function () frames.build { opcode = 16 } end)
		assert.has_error(function () frames.build {} end)
		assert.has_error(function () frames.build_close(1000, ("x"):rep(124)) end)
	end)

	it("tells code and reason of a close, where there are any", function ()
		assert.same({ n = 1 }, table.pack(frames.parse_close ""))
		assert.same({ 1000, n = 2 }, table.pack(frames.parse_close "\x03\xe8"))
		local frame = frames.parse(frames.build_close(1001, "restart", true))
		assert.same({ 1001, "restart" }, { frames.parse_close(frame.data) })
		assert.same({ 8, true, true }, { frame.opcode, frame.FIN, frame.MASK })
	end)

	it("gives back every frame that it built, however it is cut and followed", function ()
		local seed = tonumber(os.getenv("SEED")) or os.time()
		math.randomseed(seed)
		local function bytes(count)
			local list = {}
			for i = 1, count do list[i] = string.char(math.random(0, 255)) end
			return table.concat(list)
		end
		local sizes = { 0, 1, 3, 4, 31, 32, 33, 125, 126, 127, 65535, 65536 }
		for _ = 1, 400 do
			local opcode = math.random(0, 15)
			local size = math.random(4) == 1 and sizes[math.random(#sizes)] or math.random(0, 200)
			local frame = { opcode = opcode, FIN = math.random(2) == 1, RSV1 = math.random(2) == 1,
				RSV2 = math.random(2) == 1, RSV3 = math.random(2) == 1, MASK = math.random(2) == 1,
				data = bytes(opcode >= 8 and math.min(size, 125) or size) }
			local text = frames.build(frame)
			local found, used = frames.parse(text .. bytes(math.random(0, 9)))
			assert(found, "seed " .. seed)
			assert.equal(#text, used, "seed " .. seed)
			for _, field in ipairs { "opcode", "FIN", "RSV1", "RSV2", "RSV3", "MASK", "data" } do
				assert.equal(frame[field], found[field], field .. ", seed " .. seed)
			end
			assert.is_nil((frames.parse(text:sub(1, math.random(0, #text - 1)))))
		end
		for _ = 1, 3000 do
			local text = bytes(math.random(0, 40))
			local frame, used, why = frames.parse(text)
			assert(not frame or used <= #text and #frame.data == frame.length, "seed " .. seed)
			assert(frame or why == nil or type(why) == "table" or why == "invalid-length")
		end
	end)

	it("masks a MiB in well below a second", function ()
		local begin = os.clock()
		frames.parse(frames.build { opcode = 2, MASK = true, data = ("x"):rep(1048576) })
		assert.is_true(os.clock() - begin < 1)
	end)

	it("writes and reads as Prosody's file does", function ()
		local peers = process.read_file(".deps/peers/usr/lib/prosody/net/websocket/frames.lua")
			and ".deps/peers/usr/lib/prosody" or "/tmp/ref/usr/lib/prosody"
		if not process.read_file(peers .. "/net/websocket/frames.lua") then pending "needs prosody" end
		local ours, calls = {}, {}
		for i, call in ipairs { [[build { opcode = 1, FIN = true, data = "x" }]],
			[[build { opcode = 2, MASK = true, key = "\1\2\3\4", RSV2 = true, data = ("ab"):rep(99) }]],
			[[build { opcode = 0, data = ("z"):rep(70000) }]], [[build { opcode = 9, FIN = true }]],
			[[build_close(1000, "bye")]], [[build_close(4001)]] } do
			ours[i] = load("return (...)." .. call)(frames):gsub(".", function (c)
				return ("%02x"):format(c:byte())
			end)
			calls[i] = ("print((frames.%s:gsub('.', function (c) return ('%%02x'):format(c:byte()) end)))")
				:format(call:find("^build {") and "build(" .. call:sub(7) .. ")" or call)
		end
		local code, out, err = process.run { argv = { "lua5.4", "-e", ([[
			package.path = %q .. "/?.lua;" .. package.path
			package.cpath = %q .. "/?.so;" .. package.cpath
			local frames = require "net.websocket.frames"
		]]):format(peers, peers) .. table.concat(calls, "\n") } }
		assert.equal(0, code, err)
		assert.equal(table.concat(ours, "\n") .. "\n", out)
	end)
end)
