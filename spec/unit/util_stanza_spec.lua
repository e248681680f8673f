local stanza <const> = require "util.stanza"
local template <const> = require "util.template"
local xml <const> = require "util.xml"

describe("util.stanza", function ()
	it("escapes what XML and HTML give a meaning", function ()
		assert.equal("&lt;a href=&apos;x&apos;&gt;&amp;&quot;", stanza.xml_escape([[<a href='x'>&"]]))
		assert.equal(stanza.xml_escape, xml.escape)
	end)

	it("is read from XML where lua-expat is, without what can be abused", function ()
		local s = assert(xml.parse "<a xml:lang='x' xmlns='u' xmlns:p='v'><p:b p:c='1'/>t&lt;</a>")
		assert.same({ "a", "u", "x" }, { s.name, s.attr.xmlns, s.attr["xml:lang"] })
		assert.same({ "b", "v", "1" }, { s.tags[1].name, s.tags[1].attr.xmlns, s.tags[1].attr["v\1c"] })
		assert.equal("v", s.tags[1].namespaces.p)
		assert.equal("t<", s[2])
		for _, bad in ipairs { "", "<a>", "<a/><b/>", "<a><!-- x --></a>", "<a><?x y?></a>",
			"<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>" } do
			local none, err = xml.parse(bad)
			assert.is_nil(none)
			assert.is_string(err)
		end
		assert.equal("a", xml.parse("<a><!-- x --></a>", { allow_comments = true }).name)
	end)

	it("builds and writes a tree", function ()
		local s = stanza.stanza("ul", { class = "a'b" }):tag("li"):text("1 < 2"):up()
			:text_tag("li", "x", { xmlns = "urn:x" })
		assert.equal("<ul class='a&apos;b'><li>1 &lt; 2</li><li xmlns='urn:x'>x</li></ul>",
			tostring(s))
		assert.equal("<ul class='a&apos;b'>", s:top_tag())
		assert.same({ 2, 2, true }, { #s, #s.tags, s:at_top() })
	end)

	it("finds children by name and namespace", function ()
		local s = stanza.stanza("r"):text_tag("a", "1"):text_tag("a", "2", { xmlns = "urn:n", k = "v" })
		assert.equal("1", s:get_child_text("a"))
		assert.equal("2", s:get_child("a", "urn:n"):get_text())
		assert.equal("v", s:find("{urn:n}a@k"))
		assert.equal("2", s:find("{urn:n}a#"))
		assert.is_nil(s:get_child("b"))
		s:remove_children("a")
		assert.same({ 1, 1 }, { #s, #s.tags })
	end)

	it("copies so that the copy may change", function ()
		local s = stanza.stanza("r", { a = "1" }):tag("c"):up()
		local copy = stanza.clone(s)
		copy.attr.a = "2"
		copy:tag("d")
		assert.same({ "1", 1 }, { s.attr.a, #s })
		assert.equal(tostring(s), tostring(stanza.deserialize(stanza.preserialize(s))))
	end)

	for what, make in pairs {
		["an empty name"] = function () stanza.stanza("") end,
		["a name that opens a tag"] = function () stanza.stanza("a><b") end,
		["a NUL in text"] = function () stanza.stanza("a"):text("\0") end,
		["text that is not UTF-8"] = function () stanza.stanza("a"):text("\xff") end,
		["a number as attribute"] = function () stanza.stanza("a", { b = 1 }) end,
	} do
		it("refuses " .. what, function () assert.has_error(make) end)
	end

	it("answers with errors that can be read again", function ()
		local e = stanza.error_reply(stanza.message { from = "a", to = "b" }, "cancel", "gone", "why")
		assert.same({ "cancel", "gone", "why" }, { e:get_error() })
		assert.same({ "a", "b" }, { e.attr.to, e.attr.from })
		local err = require "util.error".from_stanza(e)
		assert.same({ "cancel", "gone", "why", "b" },
			{ err.type, err.condition, err.text, err.context.by })
	end)
end)

describe("util.template", function ()
	it("fills placeholders, escaped when written", function ()
		local t = template [[<p class="{c}">  <b>{name}</b> &amp; <br/> </p>]]
		assert.equal("<p class='x'><b>&lt;i&gt;</b>&amp;<br/></p>",
			tostring(t.apply { c = "x", name = "<i>" }))
	end)

	it("takes a stanza for a placeholder that stands alone", function ()
		local t = template "<p><b>{list}</b>{list} !</p>"
		assert.equal("<p><b><i>x</i></b>&lt;i&gt;x&lt;/i&gt; !</p>",
			tostring(t.apply { list = stanza.stanza("i"):text("x") }))
	end)

	for _, text in ipairs { "", "text", "<a>", "<a></b>", "<a/><b/>", "<a b></a>" } do
		it("refuses " .. text, function () assert.has_error(function () template(text) end) end)
	end
end)
