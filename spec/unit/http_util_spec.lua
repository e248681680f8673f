-- plain lua too
local http <const> = require "util.http"

describe("util.http", function ()
	it("escapes everything but unreserved characters, and decodes all escapes", function ()
		assert.equal("a%20b%2fc%c3%a9~_.-", http.urlencode("a b/c\xc3\xa9~_.-"))
		assert.equal("a b/c\xc3\xa9%zz%", http.urldecode("a%20b%2Fc%C3%A9%zz%"))
		assert.is_nil(http.urlencode(nil))
		assert.is_nil(http.urldecode(nil))
		local all = {}
		for i = 0, 255 do all[#all + 1] = string.char(i) end
		all = table.concat(all)
		assert.equal(all, http.urldecode(http.urlencode(all)))
	end)

	it("encodes forms as lists, in order, and as maps", function ()
		assert.equal("a+b=1%262&c=", http.formencode {
			{ name = "a b", value = "1&2" }, { name = "c", value = "" },
		})
		assert.equal("a=%2b", http.formencode { a = "+" })
	end)

	it("decodes forms to a list and a map", function ()
		local form <const> = http.formdecode "a+b=1%262&c=&c=%2B"
		assert.equal("1&2", form["a b"])
		assert.equal("+", form.c)
		assert.same({ name = "c", value = "" }, form[2])
		assert.equal(3, #form)
		assert.equal("a b", http.formdecode "a%20b")
	end)

	it("finds a token in a list, whatever its case", function ()
		assert.is_true(http.contains_token("keep-alive, Close", "close"))
		assert.is_false(http.contains_token("closed, x-close", "close"))
	end)

	it("normalizes paths", function ()
		for path, expected in pairs { [""] = "/", a = "/a", ["/a"] = "/a", ["a/"] = "/a" } do
			assert.equal(expected, http.normalize_path(path))
		end
		for path, expected in pairs { ["/"] = "/", a = "/a/", ["/a/"] = "/a/" } do
			assert.equal(expected, http.normalize_path(path, true))
		end
	end)

	it("reads Forwarded", function ()
		assert.same({
			{ ["for"] = "192.0.2.60", proto = "http", by = "203.0.113.43" },
			{ ["for"] = "[2001:db8:cafe::17]:4711" },
		}, http.parse_forwarded(
			'for=192.0.2.60;Proto=http; by=203.0.113.43, For="[2001:db8:cafe::17]:4711"'))
		assert.same({ { ["for"] = 'a"b\\' } }, http.parse_forwarded [[for="a\"b\\"]])
		for _, bad in ipairs { "", "for", "for=a b", 'for="a', "for=a,", "for=a;", "=a" } do
			assert.is_nil(http.parse_forwarded(bad), bad)
		end
		assert.is_nil(http.parse_forwarded(nil))
	end)

	it("reads a long Forwarded in a time that grows with its length alone", function ()
		local function seconds(pairs)
			local text <const>, start <const> = ("a=;"):rep(pairs) .. "a=", os.clock()
			for _ = 1, 40000 // pairs do
				assert.same(1, #http.parse_forwarded(text))
			end
			return os.clock() - start
		end
		seconds(100)
		local short <const> = seconds(100)
		assert.is_true(seconds(20000) < 10 * short + 0.1) -- was 100 times that
	end)
end)

describe("net.http.codes", function ()
	it("names what is registered, and says so of what is not", function ()
		local codes <const> = require "net.http.codes"
		assert.equal("200 OK", codes[200])
		assert.equal("418 I'm a teapot", codes[418])
		assert.equal("299 Unassigned", codes[299])
	end)
end)
