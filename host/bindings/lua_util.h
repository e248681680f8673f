/* The C halves of util libraries. Each opener returns one table with the names and arguments of
 * Prosody's C module of that name; see util/hashes.lua, encodings.lua, crypto.lua, random.lua,
 * table.lua. */
#ifndef BINDINGS_LUA_UTIL_H
#define BINDINGS_LUA_UTIL_H

#include <lua.h>

/* sha1 … blake2b512 (text [, hex]), hmac_* (key, text [, hex]), pbkdf2_hmac_* (password, salt,
 * rounds), hkdf_hmac_* (length, input, salt or nil, info), equals (a, b) in constant time. */
int luaopen_host_hashes(lua_State *L);

/* Keys: generate_ed25519_keypair(), generate_p256_keypair(), import_private_pem(pem),
 * import_public_pem(pem), import_public_ec_raw(point, curve) -> key, or nil if it is none. Its
 * methods: get_type() ("rsaEncryption", "id-ecPublicKey", "ED25519"), bits(), public_pem(),
 * private_pem() (raises where there is only the public half), public_raw() -> point or nil,
 * derive(peer) -> secret.
 * SCHEME_sign(key, text) -> signature or nil, SCHEME_verify(key, text, signature) -> bool, or nil
 * if it cannot be one; ed25519, ecdsa_sha256 to 512, rsassa_pkcs1_sha256 to 512, rsassa_pss_sha256
 * to 512; a key of another type raises. parse_ecdsa_signature(der, width) -> r, s of `width` bytes
 * or nil; build_ecdsa_signature(r, s) -> der. */
int luaopen_host_crypto(lua_State *L);

/* aes_128_gcm, aes_256_gcm, aes_256_ctr, each _encrypt(key, iv, text) -> text with its tag and
 * _decrypt(key, iv, text) -> text; nil, "verify-failed". A key or iv of another length raises. */
int luaopen_host_cipher(lua_State *L);

/* base64.encode(text), base64.decode(text) -> text or nil. */
int luaopen_host_encodings(lua_State *L);

/* bytes(count) -> that many bytes of the kernel's generator; raises when the kernel has none. */
int luaopen_host_random(lua_State *L);

/* create(array, hash), pack(...), move(from, first, last, to [, target]) without metamethods. */
int luaopen_host_table(lua_State *L);

#endif
