/* The key object of util.crypto, which lua_crypto.c makes and lua_signature.c signs with. */
#ifndef BINDINGS_LUA_KEY_H
#define BINDINGS_LUA_KEY_H

#include <lua.h>
#include <openssl/evp.h>
#include <stdbool.h>

struct lua_key {
	EVP_PKEY *pkey; /* NULL: not made; freed by the userdata's gc */
	bool has_private;
};

/* The key at `index`, borrowed; raises where there is none, the second also where it is public
 * only. */
struct lua_key *lua_check_key(lua_State *L, int index);
struct lua_key *lua_check_private_key(lua_State *L, int index);

/* Adds SCHEME_sign(key, text) -> signature, SCHEME_verify(key, text, signature) -> boolean,
 * parse_ecdsa_signature(der, width) -> r, s and build_ecdsa_signature(r, s) -> der to the table on
 * top; each answers nil where OpenSSL does not take what it got. */
void lua_add_signatures(lua_State *L);

#endif
