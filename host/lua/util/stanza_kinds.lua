--- The kinds of stanza that XMPP has: message, iq, presence, reply, error_reply.

local queries <const> = require "util.stanza_query"

--- Adds them to util.stanza.
return function (stanza)
	local kinds <const> = stanza
	local is_stanza <const> = stanza.is_stanza

	function kinds.message(attr, body)
		local new <const> = stanza.stanza("message", attr)
		return body and new:text_tag("body", body) or new
	end

	function kinds.iq(attr)
		if not attr then
			error("an iq needs the attributes id and type", 2)
		elseif not attr.id then
			error("an iq needs an id attribute", 2)
		elseif not attr.type then
			error("an iq needs a type attribute", 2)
		end
		return stanza.stanza("iq", attr)
	end

	function kinds.presence(attr)
		return stanza.stanza("presence", attr)
	end

	--- The empty answer to a stanza.
	function kinds.reply(to)
		if not is_stanza(to) then
			error("reply: expected stanza, got " .. type(to), 2)
		end
		return stanza.stanza(to.name, { to = to.attr.from, from = to.attr.to, id = to.attr.id,
			type = to.name == "iq" and "result" or to.attr.type })
	end

	local function add_extra(to, extra)
		if is_stanza(extra.tag) then
			to:add_child(extra.tag)
		elseif extra.namespace and extra.condition then
			to:tag(extra.condition, { xmlns = extra.namespace }):up()
		end
	end

	-- Adds the error element and leaves it open. Fields of err: type, condition, text, context.by,
	-- extra (as util.error has them).
	local function add_error(to, err, by)
		local extra <const>, context <const> = err.extra or {}, err.context or {}
		by = context.by or by
		to:tag("error", { type = err.type, by = by ~= to.attr.from and by or nil })
		to:tag(err.condition, { xmlns = queries.xmlns_stanzas })
		to:text(err.condition == "gone" and extra.uri or nil):up()
		if err.text then
			to:text_tag("text", err.text, { xmlns = queries.xmlns_stanzas })
		end
		add_extra(to, extra)
		return to
	end

	local function as_error(err_type, condition, text)
		return type(err_type) == "table" and err_type
			or { type = err_type, condition = condition, text = text }
	end

	--- An error answer.
	-- @param err_type "cancel", "modify", …; or an util.error
	function kinds.error_reply(to, err_type, condition, text, by)
		if not is_stanza(to) then
			error("error_reply: expected stanza, got " .. type(to), 2)
		elseif to.attr.type == "error" then
			error("error_reply: got stanza of type error, and errors are not answered", 2)
		end
		local new <const> = kinds.reply(to)
		new.attr.type = "error"
		return add_error(new, as_error(err_type, condition, text), by)
	end

	--- Adds an error element, as in error_reply.
	function stanza.stanza_mt:add_error(err_type, condition, text, by)
		return add_error(self, as_error(err_type, condition, text), by):up()
	end
end
