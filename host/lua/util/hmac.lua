-- util.hashes.hmac_* under the names of old modules.

local hashes <const> = require "util.hashes"

return {
	md5 = hashes.hmac_md5, sha1 = hashes.hmac_sha1,
	sha256 = hashes.hmac_sha256, sha512 = hashes.hmac_sha512,
}
