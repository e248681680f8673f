/* host.tls: contexts of TLS connections, certificates, ticket keys. What a connection knows:
 * lua_tls_conn.c. */
#include "bindings/lua_host.h"
#include "bindings/lua_net.h"
#include "bindings/lua_open.h"
#include "bindings/lua_x509.h"
#include "net/tls.h"
#include "net/tls_tickets.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <stdlib.h>
#include <string.h>

#define CONTEXT "tls context"

struct lua_tls_ctx {
	struct tls_ctx *ctx; /* NULL: not made */
};

static struct tls_ctx *check(lua_State *L, int index)
{
	struct lua_tls_ctx *u = luaL_checkudata(L, index, CONTEXT);

	luaL_argcheck(L, u->ctx, index, "context was not made");
	return u->ctx;
}

struct tls_ctx *lua_opt_tls_ctx(lua_State *L, int index)
{
	return lua_isnoneornil(L, index) ? NULL : check(L, index);
}

/* ---- context{…} ----
 * The table is at 1. Each step that fails leaves words and the name of its field. */

static const char *field(lua_State *L, const char *name)
{
	lua_getfield(L, 1, name);
	return lua_tostring(L, -1); /* the table keeps it */
}

/* Whether list field `name` has the word; a single word is a list too. */
static bool listed(lua_State *L, const char *name, const char *word)
{
	bool found = false;

	if (lua_getfield(L, 1, name) == LUA_TSTRING)
		found = strcmp(lua_tostring(L, -1), word) == 0;
	if (lua_istable(L, -1))
		for (lua_Integer i = 1; !found && lua_geti(L, -1, i) != LUA_TNIL; i++) {
			const char *text = lua_tostring(L, -1);

			found = text && strcmp(text, word) == 0;
			lua_pop(L, 1);
		}
	return found;
}

static int fault(lua_State *L, const char *which, const char *words)
{
	lua_pushnil(L);
	lua_pushstring(L, words);
	lua_pushstring(L, which);
	return 3;
}

static void set_verify(lua_State *L, struct tls_ctx *ctx)
{
	struct tls_verify how = {SSL_VERIFY_NONE, -1, 0, false, false};

	if (listed(L, "verify", "peer"))
		how.mode |= SSL_VERIFY_PEER;
	if (listed(L, "verify", "fail_if_no_peer_cert"))
		how.mode |= SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	if (listed(L, "verify", "client_once"))
		how.mode |= SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE;
	if (listed(L, "verifyext", "crl_check"))
		how.flags |= X509_V_FLAG_CRL_CHECK;
	if (listed(L, "verifyext", "crl_check_chain"))
		how.flags |= X509_V_FLAG_CRL_CHECK_ALL;
	how.go_on = listed(L, "verifyext", "lsec_continue");
	how.any_purpose = listed(L, "verifyext", "lsec_ignore_purpose");
	lua_getfield(L, 1, "depth");
	how.depth = (int)luaL_optinteger(L, -1, -1);
	tls_ctx_verify(ctx, &how);
}

static void set_options(lua_State *L, SSL_CTX *ssl)
{
	if (listed(L, "options", "no_ticket"))
		SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET);
	if (listed(L, "options", "no_tlsv1_2"))
		SSL_CTX_set_options(ssl, SSL_OP_NO_TLSv1_2);
	if (listed(L, "options", "no_tlsv1_3"))
		SSL_CTX_set_options(ssl, SSL_OP_NO_TLSv1_3);
	if (listed(L, "options", "ignore_unexpected_eof"))
		SSL_CTX_set_options(ssl, SSL_OP_IGNORE_UNEXPECTED_EOF);
}

/* ---- alpn as a function ---- */

struct lua_alpn {
	int fn; /* registry ref */
};

static void release_alpn(void *data)
{
	struct lua_alpn *a = data;

	if (lua_host_state())
		luaL_unref(lua_host_state(), LUA_REGISTRYINDEX, a->fn);
	free(a);
}

static void push_protocols(lua_State *L, const unsigned char *wire, size_t n)
{
	lua_Integer count = 0;

	lua_newtable(L);
	for (size_t i = 0; i < n && wire[i] < n - i; i += 1U + wire[i]) {
		lua_pushlstring(L, (const char *)wire + i + 1, wire[i]);
		lua_rawseti(L, -2, ++count);
	}
}

/* Appends the string on top; false if it is none, or does not fit. */
static bool append_protocol(lua_State *L, unsigned char wire[TLS_ALPN_MAX], int *n)
{
	size_t size = lua_rawlen(L, -1);

	if (lua_type(L, -1) != LUA_TSTRING || size < 1 || size > 255 ||
	    size + 1 > (size_t)(TLS_ALPN_MAX - *n))
		return false;
	wire[*n] = (unsigned char)size;
	memcpy(wire + *n + 1, lua_tostring(L, -1), size);
	*n += (int)size + 1;
	return true;
}

/* A word or a list on top, in wire form: its length. What else stands there speaks nothing. */
static int take_protocols(lua_State *L, unsigned char wire[TLS_ALPN_MAX])
{
	int n = 0;

	if (lua_type(L, -1) == LUA_TSTRING)
		(void)append_protocol(L, wire, &n);
	if (!lua_istable(L, -1))
		return n;
	for (lua_Integer i = 1, fits = 1; fits && lua_rawgeti(L, -1, i) != LUA_TNIL; i++) {
		fits = append_protocol(L, wire, &n);
		lua_pop(L, 1);
	}
	return n;
}

/* fn(list of what the peer offers) → list or word; nil: none */
static int ask_alpn(
    void *data, const unsigned char *offered, size_t n, unsigned char wire_r[TLS_ALPN_MAX])
{
	const struct lua_alpn *a = data;
	lua_State *L = lua_handle_state();
	int top = lua_gettop(L), answer = -1;

	if (!lua_host_room(n * 32 + 4096) || !lua_checkstack(L, 8))
		return -1;
	lua_rawgeti(L, LUA_REGISTRYINDEX, a->fn);
	push_protocols(L, offered, n);
	if (lua_host_call_logged(L, 1, 1, "choosing a protocol (alpn)"))
		answer = take_protocols(L, wire_r);
	lua_settop(L, top);
	return answer;
}

/* The function is on top. */
static int set_alpn_function(lua_State *L, struct tls_ctx *ctx)
{
	struct lua_alpn *a = tls_ctx_is_server(ctx) ? malloc(sizeof *a) : NULL;

	if (!a)
		return -1;
	a->fn = luaL_ref(L, LUA_REGISTRYINDEX);
	tls_ctx_alpn_take(ctx, ask_alpn, a, release_alpn);
	return 0;
}

/* alpn: a list, a single word, or for a server a function. 0, or -1. */
static int set_alpn(lua_State *L, struct tls_ctx *ctx)
{
	luaL_Buffer b;
	lua_Integer n;

	lua_getfield(L, 1, "alpn");
	if (lua_isfunction(L, -1))
		return set_alpn_function(L, ctx);
	if (lua_isstring(L, -1)) {
		lua_createtable(L, 1, 0);
		lua_insert(L, -2);
		lua_rawseti(L, -2, 1);
	}
	if (!lua_istable(L, -1))
		return lua_isnil(L, -1) ? 0 : -1;
	n = luaL_len(L, -1);
	for (lua_Integer i = 1; i <= n; i++) {
		size_t len = 0;

		lua_geti(L, -1, i);
		lua_tolstring(L, -1, &len);
		if (len < 1 || len > 255)
			return -1;
		lua_pop(L, 1);
	}
	lua_pushvalue(L, -1);
	lua_replace(L, 2); /* the list, where the buffer cannot disturb it */
	luaL_buffinit(L, &b);
	for (lua_Integer i = 1; i <= n; i++) {
		lua_geti(L, 2, i);
		luaL_addchar(&b, (char)lua_rawlen(L, -1));
		luaL_addvalue(&b);
	}
	luaL_pushresult(&b);
	return tls_ctx_alpn(
	    ctx, (const unsigned char *)lua_tostring(L, -1), (size_t)lua_rawlen(L, -1));
}

/* The field that is wrong, or NULL. */
static const char *configure(lua_State *L, struct tls_ctx *ctx)
{
	const char *cert = field(L, "certificate"), *key = field(L, "key");
	const char *password = field(L, "password"), *protocol = field(L, "protocol");
	const char *ciphers = field(L, "ciphers"), *suites = field(L, "ciphersuites");
	const char *groups = field(L, "curveslist"), *dhparam = field(L, "dhparam");
	const char *cafile = field(L, "cafile"), *capath = field(L, "capath");
	const char *label = field(L, "label");

	if (label)
		tls_ctx_label(ctx, label);
	if (cert && tls_ctx_certificate(ctx, cert, NULL, NULL) < 0)
		return "certificate";
	if (key && tls_ctx_certificate(ctx, NULL, key, password) < 0)
		return "key";
	if (protocol && tls_ctx_protocol(ctx, protocol) < 0)
		return "protocol";
	if (tls_ctx_ciphers(ctx, ciphers, NULL, NULL) < 0)
		return "ciphers";
	if (tls_ctx_ciphers(ctx, NULL, suites, NULL) < 0)
		return "ciphersuites";
	if (tls_ctx_ciphers(ctx, NULL, NULL, groups) < 0)
		return "curve";
	if (dhparam && tls_ctx_dhparam(ctx, dhparam) < 0)
		return "dhparam";
	if (tls_ctx_trust(ctx, cafile, NULL) < 0)
		return "cafile";
	if (tls_ctx_trust(ctx, NULL, capath) < 0)
		return "capath";
	tls_ctx_chain(ctx);
	return set_alpn(L, ctx) < 0 ? "alpn" : NULL;
}

/* context{mode = "server" | "client", certificate, key, password, protocol, ciphers, ciphersuites,
 * curveslist, dhparam (file), cafile, capath, verify, verifyext, depth, options, alpn, label} →
 * context; nil, words, field. Names and words are LuaSec's. */
static int l_context(lua_State *L)
{
	struct lua_tls_ctx *u;
	const char *mode, *wrong;

	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 2);
	luaL_checkstack(L, 40, NULL);
	mode = field(L, "mode");
	u = lua_newuserdatauv(L, sizeof *u, 0);
	u->ctx = NULL;
	luaL_setmetatable(L, CONTEXT);
	u->ctx = tls_ctx_new(mode && strcmp(mode, "server") == 0);
	if (!u->ctx)
		return fault(L, "mode", tls_error("not enough memory"));
	lua_pushvalue(L, -1); /* cfg list mode ctx ctx .. */
	set_verify(L, u->ctx);
	set_options(L, tls_ctx_ssl(u->ctx));
	wrong = configure(L, u->ctx);
	if (wrong)
		return fault(L, wrong, tls_error("not a valid value"));
	lua_settop(L, 4);
	return 1;
}

/* ctx:sni(name, other | nil): true; or nil, words */
static int l_sni(lua_State *L)
{
	struct tls_ctx *ctx = check(L, 1);

	if (tls_ctx_sni(ctx, luaL_checkstring(L, 2), lua_opt_tls_ctx(L, 3)) < 0)
		return lua_push_error(L, errno);
	lua_pushboolean(L, 1);
	return 1;
}

static int l_gc(lua_State *L)
{
	struct lua_tls_ctx *u = luaL_checkudata(L, 1, CONTEXT);

	tls_ctx_release(&u->ctx);
	return 0;
}

/* ---- ticket keys ---- */

/* rotate_tickets(): a new key makes tickets, the two before it still read. For a process without a
 * keeper; the keeper gives its workers new ones. */
static int l_rotate_tickets(lua_State *L)
{
	lua_pushboolean(L, tls_tickets_rotate() == 0);
	return 1;
}

/* queue(): the number of errors that OpenSSL's queue holds; 0 unless there is a fault. */
static int l_queue(lua_State *L)
{
	lua_Integer n = 0;

	while (ERR_get_error())
		n++;
	lua_pushinteger(L, n);
	return 1;
}

int luaopen_host_tls(lua_State *L)
{
	static const luaL_Reg methods[] = {{"sni", l_sni}, {NULL, NULL}};
	static const luaL_Reg functions[] = {{"context", l_context},
	    {"rotate_tickets", l_rotate_tickets}, {"load_certificate", l_x509_load},
	    {"queue", l_queue}, {NULL, NULL}};

	lua_check_library(L, "crypto");
	lua_check_library(L, "ssl");
	lua_push_x509_class(L);
	luaL_newmetatable(L, CONTEXT);
	lua_pushcfunction(L, l_gc);
	lua_setfield(L, -2, "__gc");
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	luaL_newlib(L, methods);
	lua_setfield(L, -2, "__index");
	luaL_newlib(L, functions);
	return 1;
}
