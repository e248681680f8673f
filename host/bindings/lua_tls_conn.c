/* TLS of a connection handle: starting it, and what is known of it and of the peer. */
#include "bindings/lua_fields.h"
#include "bindings/lua_net.h"
#include "bindings/lua_x509.h"
#include "net/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <string.h>

static struct lua_conn *check(lua_State *L)
{
	return lua_check_handle(L, 1, LUA_HANDLE_CONN);
}

/* The SSL object once the handshake is over; NULL with nil and words on the stack. */
static SSL *ready(lua_State *L)
{
	struct lua_conn *lc = check(L);
	struct tls *t = tls_of(&lc->c);

	if (t && t->done)
		return t->ssl;
	lua_pushnil(L);
	lua_pushliteral(L, "not-connected");
	return NULL;
}

/* tls_start(ctx [, name]): true; or nil, words. The handshake begins when what is queued has gone.
 */
static int l_tls_start(lua_State *L)
{
	struct lua_conn *lc = check(L);
	struct tls_ctx *ctx = lua_opt_tls_ctx(L, 2);
	lua_State *before;
	int r;

	luaL_argcheck(L, ctx, 2, "tls context expected");
	if (lc->c.state != CONN_OPEN && lc->c.state != CONN_CONNECTING) {
		lua_pushnil(L);
		lua_pushliteral(L, "closed");
		return 2;
	}
	if (tls_of(&lc->c)) {
		lua_pushnil(L);
		lua_pushliteral(L, "ssl already active");
		return 2;
	}
	before = lua_handle_enter(L);
	conn_hold(&lc->c);
	r = tls_begin(&lc->c, ctx, luaL_optstring(L, 3, NULL));
	conn_release(&lc->c);
	lua_handle_enter(before);
	if (r < 0)
		return lua_push_error(L, errno);
	lua_pushboolean(L, 1);
	return 1;
}

/* ssl(): true from the begin of the handshake, else nil */
static int l_ssl(lua_State *L)
{
	if (!tls_of(&check(L)->c))
		return 0;
	lua_pushboolean(L, 1);
	return 1;
}

/* ssl_parts(): the description of the cipher, its bits, those of the algorithm, the protocol, the
 * group */
static int l_ssl_parts(lua_State *L)
{
	SSL *ssl = ready(L);
	const SSL_CIPHER *cipher = ssl ? SSL_get_current_cipher(ssl) : NULL;
	char text[256];
	int bits = 0, of = 0;

	if (!ssl)
		return 2;
	if (!cipher || !SSL_CIPHER_description(cipher, text, sizeof text))
		return 0;
	bits = SSL_CIPHER_get_bits(cipher, &of);
	lua_createtable(L, 0, 6);
	lua_set_string(L, "description", text);
	lua_set_string(L, "protocol", SSL_get_version(ssl));
	lua_pushinteger(L, bits);
	lua_setfield(L, -2, "bits");
	lua_pushinteger(L, of);
	lua_setfield(L, -2, "algbits");
	lua_pushboolean(L, SSL_session_reused(ssl));
	lua_setfield(L, -2, "resumed");
	lua_set_string(L, "curve", OBJ_nid2sn(SSL_get_negotiated_group(ssl) & 0xffff));
	return 1;
}

static int l_alpn(lua_State *L)
{
	SSL *ssl = ready(L);
	const unsigned char *name;
	unsigned int n = 0;

	if (!ssl)
		return 2;
	SSL_get0_alpn_selected(ssl, &name, &n);
	if (!n)
		return 0;
	lua_pushlstring(L, (const char *)name, n);
	return 1;
}

/* The name that the peer asked for, or that we did. */
static int l_sniname(lua_State *L)
{
	SSL *ssl = ready(L);
	const char *name = ssl ? SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) : NULL;

	if (!ssl)
		return 2;
	if (!name)
		return 0;
	lua_pushstring(L, name);
	return 1;
}

/* ssl_peercertificate([n]): n from 1 up the chain */
static int l_peercertificate(lua_State *L)
{
	SSL *ssl = ready(L);
	lua_Integer n = luaL_optinteger(L, 2, 1);
	X509 *cert;

	if (!ssl)
		return 2;
	cert = SSL_get0_peer_certificate(ssl);
	if (n > 1) { /* a server does not find the peer's own in the chain, a client does */
		STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);
		int i = (int)(SSL_is_server(ssl) ? n - 2 : n - 1);

		cert = chain && n < 100 ? sk_X509_value(chain, i) : NULL;
	}
	return cert ? lua_push_x509(L, cert) : 0;
}

static void push_errors(lua_State *L, const struct tls *t)
{
	lua_newtable(L);
	for (int i = 0; i < t->n_errors; i++) {
		lua_Integer at = t->errors[i].depth + 1;

		if (lua_rawgeti(L, -1, at) != LUA_TTABLE) {
			lua_pop(L, 1);
			lua_newtable(L);
			lua_pushvalue(L, -1);
			lua_rawseti(L, -3, at);
		}
		lua_pushstring(L, X509_verify_cert_error_string(t->errors[i].code));
		lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
		lua_pop(L, 1);
	}
}

/* true; or false and { [depth + 1] = { words, … } }, or false and words */
static int l_peerverification(lua_State *L)
{
	SSL *ssl = ready(L);
	const struct tls *t;
	long code;

	if (!ssl)
		return 2;
	t = tls_from_ssl(ssl);
	code = SSL_get_verify_result(ssl);
	lua_pushboolean(L, code == X509_V_OK && !t->n_errors);
	if (t->n_errors)
		push_errors(L, t);
	else if (code != X509_V_OK)
		lua_pushstring(L, X509_verify_cert_error_string(code));
	else
		return 1;
	return 2;
}

static int finished(lua_State *L, size_t (*get)(const SSL *, void *, size_t))
{
	SSL *ssl = ready(L);
	char bytes[EVP_MAX_MD_SIZE];
	size_t n;

	if (!ssl)
		return 2;
	n = get(ssl, bytes, sizeof bytes);
	if (n == 0 || n > sizeof bytes)
		return 0;
	lua_pushlstring(L, bytes, n);
	return 1;
}

static int l_peerfinished(lua_State *L)
{
	return finished(L, SSL_get_peer_finished);
}

static int l_finished(lua_State *L)
{
	return finished(L, SSL_get_finished);
}

/* ssl_exportkeyingmaterial(label, length [, context]) (RFC 5705) */
static int l_exportkeyingmaterial(lua_State *L)
{
	SSL *ssl = ready(L);
	size_t label_len, context_len = 0;
	const char *label = luaL_checklstring(L, 2, &label_len);
	lua_Integer n = luaL_checkinteger(L, 3);
	const char *context = luaL_optlstring(L, 4, NULL, &context_len);
	luaL_Buffer b;
	char *out;

	if (!ssl)
		return 2;
	luaL_argcheck(L, n > 0 && n <= 4096, 3, "length out of range");
	out = luaL_buffinitsize(L, &b, (size_t)n);
	if (SSL_export_keying_material(ssl, (unsigned char *)out, (size_t)n, label, label_len,
		(const unsigned char *)context, context_len, context != NULL) != 1) {
		ERR_clear_error();
		lua_pushnil(L);
		lua_pushliteral(L, "error exporting keying material");
		return 2;
	}
	luaL_pushresultsize(&b, (size_t)n);
	return 1;
}

const luaL_Reg lua_conn_tls_methods[] = {{"tls_start", l_tls_start}, {"ssl", l_ssl},
    {"ssl_parts", l_ssl_parts}, {"ssl_alpn", l_alpn}, {"ssl_sniname", l_sniname},
    {"ssl_peercertificate", l_peercertificate}, {"ssl_peerverification", l_peerverification},
    {"ssl_peerfinished", l_peerfinished}, {"ssl_finished", l_finished},
    {"ssl_exportkeyingmaterial", l_exportkeyingmaterial}, {NULL, NULL}};
