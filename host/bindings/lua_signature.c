/* Signatures of util.crypto: schemes, and the two forms of an ECDSA signature. Nothing here raises
 * while it holds what only OpenSSL frees. */
#include "bindings/lua_key.h"

#include <lauxlib.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <stddef.h>

enum {
	EC_INT_MAX = 66,  /* P-521: 521 bits */
	EC_DER_MAX = 160, /* two of those, one more byte each, and the headers */
};

static const struct {
	const char *name;
	int type;    /* of the key */
	int padding; /* RSA only */
	const EVP_MD *(*md)(void);
} schemes[] = {
    {"ed25519", EVP_PKEY_ED25519, 0, NULL},
    {"ecdsa_sha256", EVP_PKEY_EC, 0, EVP_sha256},
    {"ecdsa_sha384", EVP_PKEY_EC, 0, EVP_sha384},
    {"ecdsa_sha512", EVP_PKEY_EC, 0, EVP_sha512},
    {"rsassa_pkcs1_sha256", EVP_PKEY_RSA, RSA_PKCS1_PADDING, EVP_sha256},
    {"rsassa_pkcs1_sha384", EVP_PKEY_RSA, RSA_PKCS1_PADDING, EVP_sha384},
    {"rsassa_pkcs1_sha512", EVP_PKEY_RSA, RSA_PKCS1_PADDING, EVP_sha512},
    {"rsassa_pss_sha256", EVP_PKEY_RSA, RSA_PKCS1_PSS_PADDING, EVP_sha256},
    {"rsassa_pss_sha384", EVP_PKEY_RSA, RSA_PKCS1_PSS_PADDING, EVP_sha384},
    {"rsassa_pss_sha512", EVP_PKEY_RSA, RSA_PKCS1_PSS_PADDING, EVP_sha512},
};

enum { SCHEMES = sizeof schemes / sizeof *schemes };

static int give_nil(lua_State *L)
{
	ERR_clear_error();
	lua_pushnil(L);
	return 1;
}

static EVP_PKEY *check_for(lua_State *L, int scheme, bool private)
{
	struct lua_key *key = private ? lua_check_private_key(L, 1) : lua_check_key(L, 1);
	int type = EVP_PKEY_get_id(key->pkey);

	if (type != schemes[scheme].type)
		luaL_argerror(L, 1,
		    lua_pushfstring(L, "unexpected key type: got '%s', expected '%s'",
			OBJ_nid2sn(type), OBJ_nid2sn(schemes[scheme].type)));
	return key->pkey;
}

/* RFC 7518 3.5: the salt is as long as the digest. Prosody signs with the longest salt that fits,
 * so a verifier takes any length. */
static bool set_padding(EVP_PKEY_CTX *ctx, int padding, int salt)
{
	if (!padding)
		return true;
	if (EVP_PKEY_CTX_set_rsa_padding(ctx, padding) <= 0)
		return false;
	return padding != RSA_PKCS1_PSS_PADDING || EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, salt) > 0;
}

struct bytes {
	const unsigned char *at;
	size_t n;
};

static struct bytes check_bytes(lua_State *L, int index)
{
	struct bytes b;

	b.at = (const unsigned char *)luaL_checklstring(L, index, &b.n);
	return b;
}

static bool sign(int scheme, EVP_PKEY *pkey, struct bytes text, unsigned char *out, size_t *n)
{
	const EVP_MD *md = schemes[scheme].md ? schemes[scheme].md() : NULL;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *of_key = NULL;
	bool ok;

	ok = ctx && EVP_DigestSignInit(ctx, &of_key, md, NULL, pkey) > 0 &&
	     set_padding(of_key, schemes[scheme].padding, RSA_PSS_SALTLEN_DIGEST) &&
	     EVP_DigestSign(ctx, out, n, text.at, text.n) > 0;
	EVP_MD_CTX_free(ctx);
	return ok;
}

static int l_sign(lua_State *L)
{
	int scheme = (int)lua_tointeger(L, lua_upvalueindex(1));
	EVP_PKEY *pkey = check_for(L, scheme, true);
	struct bytes text = check_bytes(L, 2);
	size_t n = (size_t)EVP_PKEY_get_size(pkey);
	luaL_Buffer b;
	char *out = luaL_buffinitsize(L, &b, n);

	if (!sign(scheme, pkey, text, (unsigned char *)out, &n))
		return give_nil(L);
	luaL_pushresultsize(&b, n);
	return 1;
}

/* 1 right, 0 wrong, below 0: cannot be such a signature. */
static int verify(int scheme, EVP_PKEY *pkey, struct bytes text, struct bytes sig)
{
	const EVP_MD *md = schemes[scheme].md ? schemes[scheme].md() : NULL;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *of_key = NULL;
	int result = -1;

	if (ctx && EVP_DigestVerifyInit(ctx, &of_key, md, NULL, pkey) > 0 &&
	    set_padding(of_key, schemes[scheme].padding, RSA_PSS_SALTLEN_AUTO))
		result = EVP_DigestVerify(ctx, sig.at, sig.n, text.at, text.n);
	EVP_MD_CTX_free(ctx);
	return result;
}

static int l_verify(lua_State *L)
{
	int scheme = (int)lua_tointeger(L, lua_upvalueindex(1));
	EVP_PKEY *pkey = check_for(L, scheme, false);
	struct bytes text = check_bytes(L, 2);
	int result = verify(scheme, pkey, text, check_bytes(L, 3));

	if (result < 0)
		return give_nil(L);
	ERR_clear_error();
	lua_pushboolean(L, result == 1);
	return 1;
}

/* ---- the two forms of an ECDSA signature ---- */

static bool parse_der(
    struct bytes der, unsigned char *r, unsigned char *s, int width, bool *too_long)
{
	ECDSA_SIG *sig = der.n <= EC_DER_MAX ? d2i_ECDSA_SIG(NULL, &der.at, (long)der.n) : NULL;

	if (!sig)
		return false;
	*too_long = BN_bn2binpad(ECDSA_SIG_get0_r(sig), r, width) < 0 ||
		    BN_bn2binpad(ECDSA_SIG_get0_s(sig), s, width) < 0;
	ECDSA_SIG_free(sig);
	return true;
}

static int l_parse_ecdsa(lua_State *L)
{
	unsigned char r[EC_INT_MAX], s[EC_INT_MAX];
	struct bytes der = check_bytes(L, 1);
	lua_Integer width = luaL_checkinteger(L, 2);
	bool too_long = false;

	luaL_argcheck(L, width >= 1 && width <= EC_INT_MAX, 2,
	    "requested signature size exceeds supported limit");
	if (!parse_der(der, r, s, (int)width, &too_long))
		return give_nil(L);
	if (too_long)
		return luaL_error(L, "encoded integers exceed requested size");
	lua_pushlstring(L, (const char *)r, (size_t)width);
	lua_pushlstring(L, (const char *)s, (size_t)width);
	return 2;
}

static int build_der(struct bytes r, struct bytes s, unsigned char *out)
{
	ECDSA_SIG *sig = ECDSA_SIG_new();
	BIGNUM *rn = BN_bin2bn(r.at, (int)r.n, NULL);
	BIGNUM *sn = BN_bin2bn(s.at, (int)s.n, NULL);
	int n = -1;

	if (sig && rn && sn && ECDSA_SIG_set0(sig, rn, sn)) {
		rn = sn = NULL;
		n = i2d_ECDSA_SIG(sig, &out);
	}
	BN_free(rn);
	BN_free(sn);
	ECDSA_SIG_free(sig);
	return n;
}

static int l_build_ecdsa(lua_State *L)
{
	unsigned char out[EC_DER_MAX];
	struct bytes r = check_bytes(L, 1), s = check_bytes(L, 2);
	int n;

	luaL_argcheck(L, r.n <= EC_INT_MAX, 1, "integer too long");
	luaL_argcheck(L, s.n <= EC_INT_MAX, 2, "integer too long");
	n = build_der(r, s, out);
	if (n < 0)
		return give_nil(L);
	lua_pushlstring(L, (const char *)out, (size_t)n);
	return 1;
}

static const luaL_Reg functions[] = {
    {"parse_ecdsa_signature", l_parse_ecdsa},
    {"build_ecdsa_signature", l_build_ecdsa},
    {NULL, NULL},
};

/* Sets table[name of the scheme .. suffix] = fn with the scheme as its upvalue. */
static void set_function(lua_State *L, int scheme, const char *suffix, lua_CFunction fn)
{
	lua_pushfstring(L, "%s%s", schemes[scheme].name, suffix);
	lua_pushinteger(L, scheme);
	lua_pushcclosure(L, fn, 1);
	lua_rawset(L, -3);
}

void lua_add_signatures(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
	for (int i = 0; i < SCHEMES; i++) {
		set_function(L, i, "_sign", l_sign);
		set_function(L, i, "_verify", l_verify);
	}
}
