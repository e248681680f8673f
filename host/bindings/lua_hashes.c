#include "bindings/lua_open.h"
#include "bindings/lua_util.h"

#include <lauxlib.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <stdbool.h>
#include <string.h>

/* RFC 5869 2.3: at most 255 blocks. */
enum { HKDF_BLOCKS = 255 };

static const struct {
	const char *name;
	const EVP_MD *(*md)(void);
	bool derives; /* has pbkdf2_hmac_NAME and hkdf_hmac_NAME too */
} digests[] = {
    {"md5", EVP_md5, false},
    {"sha1", EVP_sha1, true},
    {"sha224", EVP_sha224, false},
    {"sha256", EVP_sha256, true},
    {"sha384", EVP_sha384, true},
    {"sha512", EVP_sha512, true},
    {"sha3_256", EVP_sha3_256, false},
    {"sha3_512", EVP_sha3_512, false},
    {"blake2s256", EVP_blake2s256, false},
    {"blake2b512", EVP_blake2b512, false},
};

enum { DIGESTS = sizeof digests / sizeof *digests };

static const EVP_MD *upvalue_digest(lua_State *L)
{
	return digests[lua_tointeger(L, lua_upvalueindex(1))].md();
}

static int l_openssl_error(lua_State *L, const char *what)
{
	char text[256];
	unsigned long code = ERR_get_error();

	if (!code)
		return luaL_error(L, "%s failed", what);
	ERR_error_string_n(code, text, sizeof text);
	ERR_clear_error();
	return luaL_error(L, "%s failed: %s", what, text);
}

static void push_digest(lua_State *L, const unsigned char *sum, size_t len, bool hex)
{
	static const char digit[] = "0123456789abcdef";
	char text[2 * EVP_MAX_MD_SIZE];

	if (!hex) {
		lua_pushlstring(L, (const char *)sum, len);
		return;
	}
	for (size_t i = 0; i < len; i++) {
		text[2 * i] = digit[sum[i] >> 4];
		text[2 * i + 1] = digit[sum[i] & 15];
	}
	lua_pushlstring(L, text, 2 * len);
}

static int l_digest(lua_State *L)
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned int size = 0;
	size_t len;
	const char *text = luaL_checklstring(L, 1, &len);

	if (!EVP_Digest(text, len, sum, &size, upvalue_digest(L), NULL))
		return l_openssl_error(L, "digest");
	push_digest(L, sum, size, lua_toboolean(L, 2));
	return 1;
}

static int l_hmac(lua_State *L)
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned int size = 0;
	size_t key_len, len;
	const char *key = luaL_checklstring(L, 1, &key_len);
	const char *text = luaL_checklstring(L, 2, &len);

	luaL_argcheck(L, key_len <= INT_MAX, 1, "key too long");
	if (!HMAC(
		upvalue_digest(L), key, (int)key_len, (const unsigned char *)text, len, sum, &size))
		return l_openssl_error(L, "hmac");
	push_digest(L, sum, size, lua_toboolean(L, 3));
	return 1;
}

static int l_pbkdf2(lua_State *L)
{
	unsigned char out[EVP_MAX_MD_SIZE];
	const EVP_MD *md = upvalue_digest(L);
	int size = EVP_MD_get_size(md);
	size_t pass_len, salt_len;
	const char *pass = luaL_checklstring(L, 1, &pass_len);
	const char *salt = luaL_checklstring(L, 2, &salt_len);
	lua_Integer rounds = luaL_checkinteger(L, 3);

	luaL_argcheck(L, pass_len <= INT_MAX, 1, "password too long");
	luaL_argcheck(L, salt_len <= INT_MAX, 2, "salt too long");
	luaL_argcheck(L, rounds >= 1 && rounds <= INT_MAX, 3, "rounds out of range");
	if (!PKCS5_PBKDF2_HMAC(pass, (int)pass_len, (const unsigned char *)salt, (int)salt_len,
		(int)rounds, md, size, out))
		return l_openssl_error(L, "pbkdf2");
	lua_pushlstring(L, (const char *)out, (size_t)size);
	OPENSSL_cleanse(out, sizeof out);
	return 1;
}

struct span {
	const char *text;
	size_t len;
};

/* Apart from l_hkdf: nothing here raises while the context is held. */
static bool hkdf_derive(const EVP_MD *md, unsigned char *out, size_t len, const struct span part[3])
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, NULL);
	const unsigned char *input = (const unsigned char *)part[0].text;
	const unsigned char *salt = (const unsigned char *)part[1].text;
	const unsigned char *info = (const unsigned char *)part[2].text;
	bool ok;

	if (!ctx)
		return false;
	ok = EVP_PKEY_derive_init(ctx) > 0 && EVP_PKEY_CTX_set_hkdf_md(ctx, md) > 0 &&
	     (!salt || EVP_PKEY_CTX_set1_hkdf_salt(ctx, salt, (int)part[1].len) > 0) &&
	     EVP_PKEY_CTX_set1_hkdf_key(ctx, input, (int)part[0].len) > 0 &&
	     EVP_PKEY_CTX_add1_hkdf_info(ctx, info, (int)part[2].len) > 0 &&
	     EVP_PKEY_derive(ctx, out, &len) > 0;
	EVP_PKEY_CTX_free(ctx);
	return ok;
}

static int l_hkdf(lua_State *L)
{
	const EVP_MD *md = upvalue_digest(L);
	lua_Integer len = luaL_checkinteger(L, 1);
	struct span part[3];
	luaL_Buffer b;
	char *out;

	part[0].text = luaL_checklstring(L, 2, &part[0].len);
	part[1].text = luaL_optlstring(L, 3, NULL, &part[1].len);
	part[2].text = luaL_optlstring(L, 4, "", &part[2].len);
	luaL_argcheck(L, len >= 1 && len <= (lua_Integer)HKDF_BLOCKS * EVP_MD_get_size(md), 1,
	    "length out of range");
	for (int i = 0; i < 3; i++)
		luaL_argcheck(L, part[i].len <= INT_MAX, i + 2, "too long");
	out = luaL_buffinitsize(L, &b, (size_t)len);
	if (!hkdf_derive(md, (unsigned char *)out, (size_t)len, part))
		return l_openssl_error(L, "hkdf");
	luaL_pushresultsize(&b, (size_t)len);
	return 1;
}

static int l_equals(lua_State *L)
{
	size_t a_len, b_len;
	const char *a = luaL_checklstring(L, 1, &a_len);
	const char *b = luaL_checklstring(L, 2, &b_len);

	lua_pushboolean(L, a_len == b_len && CRYPTO_memcmp(a, b, a_len) == 0);
	return 1;
}

/* Sets table[prefix .. name of digest i] = fn with i as its upvalue. */
static void set_function(lua_State *L, const char *prefix, int i, lua_CFunction fn)
{
	lua_pushfstring(L, "%s%s", prefix, digests[i].name);
	lua_pushinteger(L, i);
	lua_pushcclosure(L, fn, 1);
	lua_rawset(L, -3);
}

int luaopen_host_hashes(lua_State *L)
{
	lua_check_library(L, "crypto");
	lua_createtable(L, 0, 4 * DIGESTS);
	for (int i = 0; i < DIGESTS; i++) {
		set_function(L, "", i, l_digest);
		set_function(L, "hmac_", i, l_hmac);
		if (!digests[i].derives)
			continue;
		set_function(L, "pbkdf2_hmac_", i, l_pbkdf2);
		set_function(L, "hkdf_hmac_", i, l_hkdf);
	}
	lua_pushcfunction(L, l_equals);
	lua_setfield(L, -2, "equals");
	lua_pushstring(L, OpenSSL_version(OPENSSL_VERSION));
	lua_setfield(L, -2, "_LIBCRYPTO_VERSION");
	return 1;
}
