/* AES of util.crypto. */
#include "bindings/lua_open.h"
#include "bindings/lua_util.h"

#include <lauxlib.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdbool.h>

enum { TAG = 16 };

static const struct {
	const char *name;
	const EVP_CIPHER *(*cipher)(void);
	int key, iv, tag; /* bytes; tag 0: the mode proves nothing */
} ciphers[] = {
    {"aes_128_gcm", EVP_aes_128_gcm, 16, 12, TAG},
    {"aes_256_gcm", EVP_aes_256_gcm, 32, 12, TAG},
    {"aes_256_ctr", EVP_aes_256_ctr, 32, 16, 0},
};

enum { CIPHERS = sizeof ciphers / sizeof *ciphers };

struct job {
	int which;
	const unsigned char *key, *iv, *text;
	int n; /* bytes of text, without the tag */
};

static struct job check_job(lua_State *L, int tag)
{
	struct job job = {.which = (int)lua_tointeger(L, lua_upvalueindex(1))};
	size_t key, iv, n;

	job.key = (const unsigned char *)luaL_checklstring(L, 1, &key);
	job.iv = (const unsigned char *)luaL_checklstring(L, 2, &iv);
	job.text = (const unsigned char *)luaL_checklstring(L, 3, &n);
	if ((int)key != ciphers[job.which].key)
		luaL_error(L, "key must be %d bytes", ciphers[job.which].key);
	if ((int)iv != ciphers[job.which].iv)
		luaL_error(L, "iv must be %d bytes", ciphers[job.which].iv);
	luaL_argcheck(L, n <= INT_MAX - TAG, 3, "too long");
	if (tag && n < (size_t)tag)
		luaL_error(L, "ciphertext must be at least %d bytes (including tag)", tag);
	job.n = (int)n - tag;
	return job;
}

/* out has room for the text and the tag. */
static bool encrypt(const struct job *job, unsigned char *out)
{
	int n = 0, rest = 0, tag = ciphers[job->which].tag;
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	bool ok;

	ok = ctx &&
	     EVP_EncryptInit_ex(ctx, ciphers[job->which].cipher(), NULL, job->key, job->iv) > 0 &&
	     EVP_EncryptUpdate(ctx, out, &n, job->text, job->n) > 0 &&
	     EVP_EncryptFinal_ex(ctx, out + n, &rest) > 0 && n + rest == job->n &&
	     (!tag || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, tag, out + job->n) > 0);
	EVP_CIPHER_CTX_free(ctx);
	return ok;
}

static bool decrypt(const struct job *job, unsigned char *out)
{
	int n = 0, rest = 0, tag = ciphers[job->which].tag;
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	void *expected = (void *)(job->text + job->n); /* read only */
	bool ok;

	ok = ctx &&
	     EVP_DecryptInit_ex(ctx, ciphers[job->which].cipher(), NULL, job->key, job->iv) > 0 &&
	     EVP_DecryptUpdate(ctx, out, &n, job->text, job->n) > 0 &&
	     (!tag || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, tag, expected) > 0) &&
	     EVP_DecryptFinal_ex(ctx, out + n, &rest) > 0 && n + rest == job->n;
	EVP_CIPHER_CTX_free(ctx);
	return ok;
}

static int l_encrypt(lua_State *L)
{
	struct job job = check_job(L, 0);
	size_t n = (size_t)job.n + (size_t)ciphers[job.which].tag;
	luaL_Buffer b;
	char *out = luaL_buffinitsize(L, &b, n);

	if (!encrypt(&job, (unsigned char *)out)) {
		ERR_clear_error();
		return luaL_error(L, "%s: encryption failed", ciphers[job.which].name);
	}
	luaL_pushresultsize(&b, n);
	return 1;
}

static int l_decrypt(lua_State *L)
{
	struct job job = check_job(L, ciphers[lua_tointeger(L, lua_upvalueindex(1))].tag);
	luaL_Buffer b;
	char *out = luaL_buffinitsize(L, &b, (size_t)job.n);

	if (!decrypt(&job, (unsigned char *)out)) {
		ERR_clear_error();
		lua_pushnil(L);
		lua_pushliteral(L, "verify-failed");
		return 2;
	}
	luaL_pushresultsize(&b, (size_t)job.n);
	return 1;
}

static void set_function(lua_State *L, int which, const char *suffix, lua_CFunction fn)
{
	lua_pushfstring(L, "%s%s", ciphers[which].name, suffix);
	lua_pushinteger(L, which);
	lua_pushcclosure(L, fn, 1);
	lua_rawset(L, -3);
}

int luaopen_host_cipher(lua_State *L)
{
	lua_check_library(L, "crypto");
	lua_createtable(L, 0, 2 * CIPHERS);
	for (int i = 0; i < CIPHERS; i++) {
		set_function(L, i, "_encrypt", l_encrypt);
		set_function(L, i, "_decrypt", l_decrypt);
	}
	return 1;
}
