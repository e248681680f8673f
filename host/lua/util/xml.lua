--- XML as far as a host without XMPP needs it: writing. Reading needs lua-expat.

local stanza <const> = require "util.stanza"

return {
	escape = stanza.xml_escape,
	--- @return nil, words: there is no reader here
	parse = function ()
		return nil, "no XML reader in this host (lua-expat is not used)"
	end,
}
