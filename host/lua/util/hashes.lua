-- Hashes; API of Prosody's util.hashes (see bindings/lua_util.h for the arguments).
-- hash(text [, hex]), hmac_hash(key, text [, hex]) for md5, sha1, sha224, sha256, sha384, sha512,
-- sha3_256, sha3_512, blake2s256, blake2b512; pbkdf2_hmac_* and hkdf_hmac_* for sha1 to sha512;
-- equals.

local hashes <const> = require "host.hashes"

hashes.scram_Hi_sha1 = hashes.pbkdf2_hmac_sha1 -- its name before 0.12

return hashes
