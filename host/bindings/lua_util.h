/* The C halves of util libraries. Each opener returns one table with the names and arguments of
 * Prosody's C module of that name; see util/hashes.lua, encodings.lua, random.lua, table.lua. */
#ifndef BINDINGS_LUA_UTIL_H
#define BINDINGS_LUA_UTIL_H

#include <lua.h>

/* sha1 … blake2b512 (text [, hex]), hmac_* (key, text [, hex]), pbkdf2_hmac_* (password, salt,
 * rounds), hkdf_hmac_* (length, input, salt or nil, info), equals (a, b) in constant time. */
int luaopen_host_hashes(lua_State *L);

/* base64.encode(text), base64.decode(text) -> text or nil. */
int luaopen_host_encodings(lua_State *L);

/* bytes(count) -> that many bytes of the kernel's generator; raises when the kernel has none. */
int luaopen_host_random(lua_State *L);

/* create(array, hash), pack(...), move(from, first, last, to [, target]) without metamethods. */
int luaopen_host_table(lua_State *L);

#endif
