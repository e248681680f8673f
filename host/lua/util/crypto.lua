-- Keys, signatures and AES; API of Prosody's util.crypto (see bindings/lua_util.h).

local crypto <const> = require "host.crypto"

for name, fn in pairs(require "host.cipher") do
	crypto[name] = fn
end
crypto.version = "gadwall"

return crypto
