-- Errors as objects; API of Prosody's util.error.

local id <const> = require "util.id"

local mt <const> = { __name = "error" }
local inject_traceback = false

function mt:__tostring()
	return ("error<%s:%s:%s>"):format(self.type, self.condition, self.text or "")
end

local function is_error(e)
	return getmetatable(e) == mt
end

local function instance(template, context, source)
	context = context or {}
	if inject_traceback then
		context.traceback = require "util.debug".get_traceback_table(nil, 2)
	end
	return setmetatable({
		instance_id = id.short(),
		type = template.type or "cancel",
		condition = template.condition or "undefined-condition",
		text = template.text, code = template.code, extra = template.extra,
		context = context, source = source,
	}, mt)
end

local function from_registry(e, context, registry, source)
	if is_error(e) then return e end
	local template = registry and registry[e]
	if not template then template = type(e) == "table" and e or {} end
	return instance(template, context, source)
end

--- @param e a table with type (default "cancel"), condition (default "undefined-condition"), text,
--   code, extra; or an error, which is returned as it is
-- @param context table kept in the field `context`
-- @param registry name -> such a table, if e is a name
-- @param source kept in the field `source`
local function new(e, context, registry, source)
	return from_registry(e, context, registry, source)
end

-- { type, condition, text [, extra condition] } -> { type =, condition =, text =, extra = }
local function expand(namespace, compact)
	local registry = {}
	for name, entry in pairs(compact) do
		registry[name] = {
			type = entry[1], condition = entry[2], text = entry[3],
			extra = namespace and entry[4] and { namespace = namespace, condition = entry[4] } or nil,
		}
	end
	return registry
end

--- The errors of one module.
-- @param source its name
-- @param namespace of the application's own conditions; may be left out
-- @param registry name -> template, or name -> { type, condition, text, extra }
-- @return source, registry, new(e, context), wrap(e, context) (keeps e as context.wrapped_error),
--   coerce(ok, err, ...) -> ok, err, ...; or nil and an error object; is_error
local function init(source, namespace, registry)
	if type(namespace) == "table" then namespace, registry = nil, namespace end
	local _, first = next(registry)
	if first and type(next(first)) == "number" then registry = expand(namespace, registry) end

	local function wrap(e, context)
		if is_error(e) then return e end
		local err = from_registry(registry[e] or {}, context, nil, source)
		err.context.wrapped_error = e
		return err
	end

	return {
		source = source, registry = registry, is_error = is_error, wrap = wrap,
		new = function (e, context) return from_registry(e, context, registry, source) end,
		coerce = function (ok, err, ...)
			if ok then return ok, err, ... end
			return nil, wrap(err)
		end,
	}
end

--- Makes the second of a failed function's results an error object.
local function coerce(ok, err, ...)
	if ok or is_error(err) then return ok, err, ... end
	return ok, instance({}, { wrapped_error = err }), ...
end

--- @param options auto_inject_traceback: every error gets context.traceback
local function configure(options)
	if options.auto_inject_traceback ~= nil then
		inject_traceback = options.auto_inject_traceback
	end
end

--- The error that an error stanza (util.stanza) tells of; it is kept in context.stanza.
local function from_stanza(stanza, context, source)
	local kind, condition, text, tag = stanza:get_error()
	local element = stanza:get_child "error"
	context = context or {}
	context.stanza = stanza
	context.by = element and element.attr.by or stanza.attr.from
	local uri = (condition == "gone" or condition == "redirect")
		and element:get_child_text(condition, "urn:ietf:params:xml:ns:xmpp-stanzas") or nil
	return instance({ type = kind, condition = condition, text = text,
		extra = (tag or uri) and { tag = tag, uri = uri } or nil }, context, source)
end

return {
	from_stanza = from_stanza,
	new = new, init = init, coerce = coerce, configure = configure,
	is_error = is_error, is_err = is_error,
}
