/* Certificate objects of host.tls. */
#ifndef BINDINGS_LUA_X509_H
#define BINDINGS_LUA_X509_H

#include <lua.h>
#include <openssl/x509.h>

/* Makes their metatable; leaves nothing on the stack. */
void lua_push_x509_class(lua_State *L);

/* Pushes one; takes a reference of its own. */
int lua_push_x509(lua_State *L, X509 *cert);

/* load_certificate(pem): certificate; or nil, words */
int l_x509_load(lua_State *L);

#endif
