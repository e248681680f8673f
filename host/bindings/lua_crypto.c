/* Keys of util.crypto. Nothing here raises while it holds what only OpenSSL frees. */
#include "bindings/lua_key.h"
#include "bindings/lua_open.h"
#include "bindings/lua_util.h"

#include <lauxlib.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <string.h>

#define KEY  "util.crypto key"
#define TEXT "util.crypto text"

enum {
	RAW_MAX = 2 * 66 + 1, /* an uncompressed point of P-521 */
};

/* The BIO that a PEM is written to, until it is a string of Lua's. */
struct lua_text {
	BIO *bio;
};

struct lua_key *lua_check_key(lua_State *L, int index)
{
	struct lua_key *key = luaL_checkudata(L, index, KEY);

	luaL_argcheck(L, key->pkey, index, "key was not made");
	return key;
}

struct lua_key *lua_check_private_key(lua_State *L, int index)
{
	struct lua_key *key = lua_check_key(L, index);

	luaL_argcheck(L, key->has_private, index, "private key expected, got public key only");
	return key;
}

static struct lua_key *new_key(lua_State *L, bool has_private)
{
	struct lua_key *key = lua_newuserdatauv(L, sizeof *key, 0);

	key->pkey = NULL;
	key->has_private = has_private;
	luaL_setmetatable(L, KEY);
	return key;
}

/* The new key on top, or nil where it was not made. */
static int give_key(lua_State *L, const struct lua_key *key)
{
	if (key->pkey)
		return 1;
	ERR_clear_error();
	lua_pushnil(L);
	return 1;
}

static int give_nil(lua_State *L)
{
	ERR_clear_error();
	lua_pushnil(L);
	return 1;
}

static int l_key_gc(lua_State *L)
{
	struct lua_key *key = luaL_checkudata(L, 1, KEY);

	EVP_PKEY_free(key->pkey);
	key->pkey = NULL;
	return 0;
}

static int l_text_gc(lua_State *L)
{
	struct lua_text *text = luaL_checkudata(L, 1, TEXT);

	BIO_free(text->bio);
	text->bio = NULL;
	return 0;
}

/* ---- keys in and out ---- */

/* An encrypted PEM is refused: OpenSSL's own callback would ask at the terminal. */
static int no_password(char *buf, int size, int rwflag, void *arg)
{
	(void)buf;
	(void)size;
	(void)rwflag;
	(void)arg;
	return -1;
}

static int import(lua_State *L, bool has_private)
{
	size_t n;
	const char *pem = luaL_checklstring(L, 1, &n);
	struct lua_key *key = new_key(L, has_private);
	BIO *bio = n <= INT_MAX ? BIO_new_mem_buf(pem, (int)n) : NULL;

	if (bio && has_private)
		key->pkey = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
	else if (bio)
		key->pkey = PEM_read_bio_PUBKEY(bio, NULL, no_password, NULL);
	BIO_free(bio);
	return give_key(L, key);
}

static int l_import_private(lua_State *L)
{
	return import(L, true);
}

static int l_import_public(lua_State *L)
{
	return import(L, false);
}

static EVP_PKEY *point_to_key(const char *point, size_t n, const char *curve)
{
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	OSSL_PARAM *params = NULL;
	EVP_PKEY *pkey = NULL;

	if (build && ctx &&
	    OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, curve, 0) &&
	    OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, n))
		params = OSSL_PARAM_BLD_to_param(build);
	if (params && EVP_PKEY_fromdata_init(ctx) > 0)
		(void)EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(build);
	EVP_PKEY_CTX_free(ctx);
	return pkey;
}

static int l_import_point(lua_State *L)
{
	size_t n;
	const char *point = luaL_checklstring(L, 1, &n);
	const char *curve = luaL_checkstring(L, 2);
	struct lua_key *key = new_key(L, false);

	key->pkey = point_to_key(point, n, curve);
	return give_key(L, key);
}

static int l_generate_ed25519(lua_State *L)
{
	struct lua_key *key = new_key(L, true);

	key->pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	return give_key(L, key);
}

static int l_generate_p256(lua_State *L)
{
	struct lua_key *key = new_key(L, true);

	key->pkey = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	return give_key(L, key);
}

static int give_pem(lua_State *L, const struct lua_key *key, bool private)
{
	struct lua_text *text = lua_newuserdatauv(L, sizeof *text, 0);
	char *pem;
	long n;
	int ok;

	text->bio = NULL;
	luaL_setmetatable(L, TEXT);
	text->bio = BIO_new(private ? BIO_s_secmem() : BIO_s_mem());
	if (!text->bio)
		return give_nil(L);
	if (private)
		ok = PEM_write_bio_PrivateKey(text->bio, key->pkey, NULL, NULL, 0, NULL, NULL);
	else
		ok = PEM_write_bio_PUBKEY(text->bio, key->pkey);
	n = ok ? BIO_get_mem_data(text->bio, &pem) : 0;
	if (n <= 0)
		return give_nil(L);
	lua_pushlstring(L, pem, (size_t)n);
	BIO_free(text->bio);
	text->bio = NULL;
	return 1;
}

static int l_private_pem(lua_State *L)
{
	return give_pem(L, lua_check_private_key(L, 1), true);
}

static int l_public_pem(lua_State *L)
{
	return give_pem(L, lua_check_key(L, 1), false);
}

static int l_public_raw(lua_State *L)
{
	unsigned char raw[RAW_MAX];
	size_t n = 0;
	EVP_PKEY *pkey = lua_check_key(L, 1)->pkey;

	if (!EVP_PKEY_get_octet_string_param(pkey, OSSL_PKEY_PARAM_PUB_KEY, raw, sizeof raw, &n))
		return give_nil(L);
	lua_pushlstring(L, (const char *)raw, n);
	return 1;
}

static int l_get_type(lua_State *L)
{
	lua_pushstring(L, OBJ_nid2sn(EVP_PKEY_get_id(lua_check_key(L, 1)->pkey)));
	return 1;
}

static int l_bits(lua_State *L)
{
	lua_pushinteger(L, EVP_PKEY_get_bits(lua_check_key(L, 1)->pkey));
	return 1;
}

static bool derive(EVP_PKEY *own, EVP_PKEY *peer, unsigned char *out, size_t *n)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(own, NULL);
	bool ok;

	if (!ctx)
		return false;
	ok = EVP_PKEY_derive_init(ctx) > 0 && EVP_PKEY_derive_set_peer(ctx, peer) > 0 &&
	     EVP_PKEY_derive(ctx, out, n) > 0;
	EVP_PKEY_CTX_free(ctx);
	return ok;
}

static int l_derive(lua_State *L)
{
	EVP_PKEY *own = lua_check_private_key(L, 1)->pkey;
	EVP_PKEY *peer = lua_check_key(L, 2)->pkey;
	int size = EVP_PKEY_get_size(own); /* of a signature; no secret is longer */
	size_t n = size > 0 ? (size_t)size : 0;
	luaL_Buffer b;
	char *out = luaL_buffinitsize(L, &b, n);

	if (!n || !derive(own, peer, (unsigned char *)out, &n)) {
		ERR_clear_error();
		return luaL_error(L, "pkey:derive failed");
	}
	luaL_pushresultsize(&b, n);
	return 1;
}

static const luaL_Reg key_methods[] = {
    {"private_pem", l_private_pem},
    {"public_pem", l_public_pem},
    {"public_raw", l_public_raw},
    {"get_type", l_get_type},
    {"bits", l_bits},
    {"derive", l_derive},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"generate_ed25519_keypair", l_generate_ed25519},
    {"generate_p256_keypair", l_generate_p256},
    {"import_private_pem", l_import_private},
    {"import_public_pem", l_import_public},
    {"import_public_ec_raw", l_import_point},
    {NULL, NULL},
};

static void new_class(lua_State *L, const char *name, lua_CFunction gc)
{
	luaL_newmetatable(L, name);
	lua_pushcfunction(L, gc);
	lua_setfield(L, -2, "__gc");
}

int luaopen_host_crypto(lua_State *L)
{
	lua_check_library(L, "crypto");
	new_class(L, TEXT, l_text_gc);
	new_class(L, KEY, l_key_gc);
	luaL_newlib(L, key_methods);
	lua_setfield(L, -2, "__index");
	lua_pop(L, 2);
	luaL_newlib(L, functions);
	lua_add_signatures(L);
	lua_pushstring(L, OpenSSL_version(OPENSSL_VERSION));
	lua_setfield(L, -2, "_LIBCRYPTO_VERSION");
	return 1;
}
