local encodings <const> = require "util.encodings"
local hex <const> = require "util.hex"

local base64 <const> = encodings.base64

describe("util.encodings", function ()
	-- RFC 4648, 10
	for text, code in pairs {
		[""] = "", f = "Zg==", fo = "Zm8=", foo = "Zm9v", foob = "Zm9vYg==", fooba = "Zm9vYmE=",
		foobar = "Zm9vYmFy", ["\0\0\0"] = "AAAA", ["\255\255\255"] = "////", ["\251\239\190"] = "++++",
	} do
		it(("writes %q in base64 and reads it back"):format(text), function ()
			assert.equal(code, base64.encode(text))
			assert.equal(text, base64.decode(code))
			assert.equal(text, base64.decode((code:gsub("=", ""))))
		end)
	end

	for code, text in pairs {
		["Zm9v\nYmFy"] = "foobar", [" Z m 9 v "] = "foo", ["="] = "", ["Zg==Zg=="] = "ff",
		["Zm8=Zm8="] = "fofo", ["Zm9v===="] = "foo",
	} do
		it(("reads %q"):format(code), function ()
			assert.equal(text, base64.decode(code))
		end)
	end

	for _, code in ipairs { "*", "Zm9v-", "Zm9v_", "Z", "Zm9vZ", "Z===", "Zm\0v", "Zm9v\255" } do
		it(("refuses %q as base64"):format(code), function ()
			assert.is_nil(base64.decode(code))
		end)
	end

	it("gives random bytes back through base64", function ()
		local seed = os.time()
		math.randomseed(seed)
		for length = 0, 300 do
			local bytes = {}
			for i = 1, length do bytes[i] = string.char(math.random(0, 255)) end
			local text = table.concat(bytes)
			local code = base64.encode(text)
			assert.equal(math.ceil(length / 3) * 4, #code)
			assert.equal(text, base64.decode(code), "seed " .. seed)
		end
	end)

	for text, length in pairs {
		[""] = 0, abc = 3, ["nö"] = 2, ["€"] = 1, ["😀"] = 1, ["a\0b"] = 3,
		["\244\143\191\191"] = 1,
	} do
		it(("takes %q for UTF-8 of %d code points"):format(text, length), function ()
			assert.is_true(encodings.utf8.valid(text))
			assert.equal(length, encodings.utf8.length(text))
		end)
	end

	for _, text in ipairs {
		"\128", "\255", "n\195", "\192\128", "\224\128\128", "\237\160\128", "\237\191\191",
		"\244\144\128\128", "\248\136\128\128\128", "\195\40",
	} do
		it(("does not take %q for UTF-8"):format(text), function ()
			assert.is_false(encodings.utf8.valid(text))
			assert.same({ nil, "invalid utf8", n = 2 }, table.pack(encodings.utf8.length(text)))
		end)
	end

	for name, case in pairs {
		nodeprep = { { Abc = "abc" }, { "a b", "a@b", "a/b", "a:b", 'a"b', "a&b", "a'b", "a<", "\1" } },
		nameprep = { { ["Example.COM"] = "example.com" }, { "\127" } },
		resourceprep = { { ["My Phone"] = "My Phone" }, { "\n" } },
		saslprep = { { ["Pa ss"] = "Pa ss" }, { "\0" } },
	} do
		it(name .. " takes ASCII and refuses what it does not know", function ()
			local prep = encodings.stringprep[name]
			for text, prepared in pairs(case[1]) do assert.equal(prepared, prep(text)) end
			for _, text in ipairs(case[2]) do assert.is_nil(prep(text)) end
			assert.is_nil(prep("ä"))
			assert.is_nil(prep(("a"):rep(1024)))
			assert.equal("", prep(""))
		end)
	end

	it("idna takes ASCII host names in lower case", function ()
		local to_ascii, to_unicode = encodings.idna.to_ascii, encodings.idna.to_unicode
		for _, name in ipairs { "Example.COM", "localhost", "a-b.c", "192.0.2.1", "a." } do
			assert.equal(name:lower(), to_ascii(name))
			assert.equal(name:lower(), to_unicode(name))
		end
		for _, name in ipairs { "", "a_b", "-a.b", "a-.b", "a..b", "ä.de", "a b", ("a"):rep(64),
			("a."):rep(127) .. "a" } do
			assert.is_nil(to_ascii(name))
			assert.is_nil(to_unicode(name))
		end
		assert.equal("xn--abc", to_ascii("xn--abc"))
		assert.is_nil(to_unicode("www.xn--abc"))
	end)
end)

describe("util.hex", function ()
	it("writes and reads bytes", function ()
		local all = {}
		for i = 0, 255 do all[i + 1] = string.char(i) end
		all = table.concat(all)
		assert.equal("000102", hex.encode("\0\1\2"))
		assert.equal(all, hex.decode(hex.encode(all)))
		assert.equal(all, hex.decode(hex.encode(all):upper()))
		assert.equal(hex.encode, hex.to)
		assert.equal(hex.decode, hex.from)
	end)

	it("skips what is no pair of digits", function ()
		assert.equal("abc", hex.decode("61:62 63"))
	end)
end)
