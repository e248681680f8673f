-- plain lua too
local jid <const> = require "util.jid"

describe("util.jid", function ()
	for text, parts in pairs {
		["b"] = { nil, "b", nil }, ["a@b"] = { "a", "b", nil }, ["a@b/c"] = { "a", "b", "c" },
		["b/c"] = { nil, "b", "c" }, ["a@b/c@d/e"] = { "a", "b", "c@d/e" }, ["b/ "] = { nil, "b", " " },
	} do
		it("splits and joins " .. text, function ()
			assert.same({ parts[1], parts[2], parts[3] }, { jid.split(text) })
			assert.equal(text, jid.join(jid.split(text)))
			assert.equal(parts[1], jid.node(text))
			assert.equal(parts[2], jid.host(text))
			assert.equal(parts[3], jid.resource(text))
			assert.equal(jid.join(parts[1], parts[2]), jid.bare(text))
		end)
	end

	for _, text in ipairs { "", "@b", "a@", "/c", "a@b/", "b/", "a@b@c", "@", "a@/c" } do
		it(("takes %q for no address"):format(text), function ()
			assert.same({ nil, nil, nil, n = 3 }, table.pack(jid.split(text)))
			assert.is_nil(jid.bare(text))
			assert.is_nil(jid.prep(text))
		end)
	end

	it("prepares each part, or refuses", function ()
		assert.equal("user@example.com/Phone", jid.prep("User@Example.COM/Phone"))
		assert.equal("example.com", jid.prep("example.com."))
		for _, text in ipairs { "a b@c", "ä@c", "a@ä", "." } do assert.is_nil(jid.prep(text)) end
		assert.is_nil(jid.prep(nil))
		assert.is_nil((jid.split(nil)))
	end)

	it("compares with a rule", function ()
		for _, rule in ipairs { "b", "a@b", "b/c", "a@b/c" } do
			assert.is_true(jid.compare("a@b/c", rule))
		end
		for _, rule in ipairs { "x", "x@b", "b/x" } do assert.is_false(jid.compare("a@b/c", rule)) end
		assert.is_false(jid.compare("b", "a@b"))
	end)

	-- XEP-0106
	for text, escaped in pairs {
		["space cadet"] = "space\\20cadet", ["call me \"ishmael\""] = "call\\20me\\20\\22ishmael\\22",
		["at&t guy"] = "at\\26t\\20guy", ["d'artagnan"] = "d\\27artagnan", ["/.fanboy"] = "\\2f.fanboy",
		["::foo::"] = "\\3a\\3afoo\\3a\\3a", ["<foo>"] = "\\3cfoo\\3e", ["user@host"] = "user\\40host",
		["c:\\net"] = "c\\3a\\net", ["c:\\cool stuff"] = "c\\3a\\cool\\20stuff", ["c:\\5commas"] =
		"c\\3a\\5c5commas", ["\\3and\\2is\\5cool"] = "\\5c3and\\2is\\5c5cool", [""] = "",
	} do
		it(("escapes %q and back"):format(text), function ()
			assert.equal(escaped, jid.escape(text))
			assert.equal(text, jid.unescape(escaped))
		end)
	end

	it("escapes nil to nil", function ()
		assert.is_nil(jid.escape(nil))
		assert.is_nil(jid.unescape(nil))
	end)
end)
