local errors <const> = require "util.error"

describe("util.error", function ()
	local registry

	before_each(function ()
		registry = errors.init("mod_test", "urn:test", {
			gone = { "cancel", "item-not-found", "It is gone", "very-gone" },
			later = { "wait", "resource-constraint" },
		})
	end)

	it("makes an error with defaults", function ()
		local e = errors.new {}
		assert.equal("cancel", e.type)
		assert.equal("undefined-condition", e.condition)
		assert.is_nil(e.text)
		assert.same({}, e.context)
		assert.is_string(e.instance_id)
		assert.not_equal(e.instance_id, errors.new({}).instance_id)
	end)

	it("keeps what it is given", function ()
		local context = { by = "me" }
		local e = errors.new({ type = "auth", condition = "forbidden", text = "No", code = 403,
			extra = { a = 1 } }, context, nil, "source")
		assert.same({ "auth", "forbidden", "No", 403, { a = 1 } },
			{ e.type, e.condition, e.text, e.code, e.extra })
		assert.equal(context, e.context)
		assert.equal("source", e.source)
	end)

	it("returns an error as it is", function ()
		local e = errors.new {}
		assert.equal(e, errors.new(e))
		assert.equal(e, registry.new(e))
		assert.equal(e, registry.wrap(e))
	end)

	it("is written with type, condition and text", function ()
		assert.equal("error<auth:forbidden:No>",
			tostring(errors.new { type = "auth", condition = "forbidden", text = "No" }))
		assert.equal("error<cancel:undefined-condition:>", tostring(errors.new {}))
	end)

	it("is told from other values", function ()
		assert.is_true(errors.is_error(errors.new {}))
		for _, other in ipairs { {}, "x", 1, true } do assert.is_false(errors.is_error(other)) end
		assert.is_false(errors.is_error(nil))
	end)

	it("finds templates by name", function ()
		local template = { gone = { type = "wait", text = "t" } }
		assert.equal("t", errors.new("gone", nil, template).text)
		assert.equal("undefined-condition", errors.new("other", nil, template).condition)
	end)

	it("makes a module's errors from the compact form", function ()
		local e = registry.new("gone", { id = 5 })
		assert.same({ "cancel", "item-not-found", "It is gone", "mod_test" },
			{ e.type, e.condition, e.text, e.source })
		assert.same({ namespace = "urn:test", condition = "very-gone" }, e.extra)
		assert.equal(5, e.context.id)
		assert.is_nil(registry.new("later").extra)
	end)

	it("takes the long form, and a registry without namespace", function ()
		local long = errors.init("m", { x = { type = "auth", condition = "c", code = 9 } })
		assert.equal(9, long.new("x").code)
		local compact = errors.init("m", { x = { "auth", "c", "t", "ignored" } })
		assert.equal("t", compact.new("x").text)
		assert.is_nil(compact.new("x").extra)
	end)

	it("wraps any value and keeps it", function ()
		local known, unknown = registry.wrap("gone"), registry.wrap("what")
		assert.equal("item-not-found", known.condition)
		assert.equal("gone", known.context.wrapped_error)
		assert.equal("undefined-condition", unknown.condition)
		assert.equal("what", unknown.context.wrapped_error)
	end)

	it("coerces the results of a function", function ()
		assert.same({ 1, 2, 3, n = 3 }, table.pack(registry.coerce(1, 2, 3)))
		local ok, err = registry.coerce(false, "gone")
		assert.is_nil(ok)
		assert.equal("item-not-found", err.condition)
		ok, err = errors.coerce(false, "x")
		assert.is_false(ok)
		assert.equal("x", err.context.wrapped_error)
		assert.same({ 1, 2, n = 2 }, table.pack(errors.coerce(1, 2)))
		assert.equal(err, select(2, errors.coerce(nil, err)))
	end)

	it("adds a traceback on demand", function ()
		finally(function () errors.configure { auto_inject_traceback = false } end)
		errors.configure { auto_inject_traceback = true }
		local found = false
		for _, level in ipairs(errors.new({}).context.traceback) do
			found = found or level.info.short_src:find("util_error_spec", 1, true) ~= nil
		end
		assert.is_true(found)
	end)
end)
