/* Certificates as LuaSec shows them: what modules and util.x509 read. */
#include "bindings/lua_x509.h"
#include "bindings/lua_net.h"
#include "net/tls_ctx.h"

#include <arpa/inet.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

#define CERTIFICATE "x509 certificate"

struct lua_x509 {
	X509 *cert; /* NULL: not made */
};

static X509 *check(lua_State *L, int index)
{
	struct lua_x509 *u = luaL_checkudata(L, index, CERTIFICATE);

	luaL_argcheck(L, u->cert, index, "certificate was not made");
	return u->cert;
}

int lua_push_x509(lua_State *L, X509 *cert)
{
	struct lua_x509 *u = lua_newuserdatauv(L, sizeof *u, 0);

	u->cert = NULL;
	luaL_setmetatable(L, CERTIFICATE);
	X509_up_ref(cert);
	u->cert = cert;
	return 1;
}

/* load_certificate(pem): certificate; or nil, words */
int l_x509_load(lua_State *L)
{
	size_t n;
	const char *pem = luaL_checklstring(L, 1, &n);
	struct lua_x509 *u = lua_newuserdatauv(L, sizeof *u, 0);
	BIO *bio;

	u->cert = NULL;
	luaL_setmetatable(L, CERTIFICATE);
	ERR_clear_error();
	bio = n <= INT_MAX ? BIO_new_mem_buf(pem, (int)n) : NULL;
	u->cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
	BIO_free(bio);
	if (u->cert) {
		ERR_clear_error();
		return 1;
	}
	lua_pushnil(L);
	lua_pushstring(L, tls_error("not a certificate"));
	return 2;
}

static int l_gc(lua_State *L)
{
	struct lua_x509 *u = luaL_checkudata(L, 1, CERTIFICATE);

	X509_free(u->cert);
	u->cert = NULL;
	return 0;
}

/* ---- names ---- */

static void push_oid(lua_State *L, const ASN1_OBJECT *oid)
{
	char text[96];

	OBJ_obj2txt(text, sizeof text, oid, 1);
	lua_pushstring(L, text);
}

static void push_asn1(lua_State *L, const ASN1_STRING *s)
{
	lua_pushlstring(L, (const char *)ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
}

/* { { oid, name, value }, … } */
static int push_name(lua_State *L, const X509_NAME *name)
{
	int n = X509_NAME_entry_count(name);

	lua_createtable(L, n, 0);
	for (int i = 0; i < n; i++) {
		X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, i);
		const ASN1_OBJECT *oid = X509_NAME_ENTRY_get_object(entry);

		lua_createtable(L, 0, 3);
		push_oid(L, oid);
		lua_setfield(L, -2, "oid");
		lua_pushstring(L, OBJ_nid2ln(OBJ_obj2nid(oid)));
		lua_setfield(L, -2, "name");
		push_asn1(L, X509_NAME_ENTRY_get_data(entry));
		lua_setfield(L, -2, "value");
		lua_rawseti(L, -2, i + 1);
	}
	return 1;
}

static int l_subject(lua_State *L)
{
	return push_name(L, X509_get_subject_name(check(L, 1)));
}

static int l_issuer(lua_State *L)
{
	return push_name(L, X509_get_issuer_name(check(L, 1)));
}

/* ---- numbers and times ---- */

static void push_hex(lua_State *L, const unsigned char *bytes, size_t n, const char *digit)
{
	luaL_Buffer b;

	luaL_buffinit(L, &b);
	for (size_t i = 0; i < n; i++) {
		luaL_addchar(&b, digit[bytes[i] >> 4]);
		luaL_addchar(&b, digit[bytes[i] & 15]);
	}
	luaL_pushresult(&b);
}

static int l_serial(lua_State *L)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(check(L, 1));

	push_hex(L, ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial),
	    "0123456789ABCDEF");
	return 1;
}

/* digest([algorithm = "sha1"]): lower-case hex */
static int l_digest(lua_State *L)
{
	X509 *cert = check(L, 1);
	const EVP_MD *md = EVP_get_digestbyname(luaL_optstring(L, 2, "sha1"));
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned int n = 0;

	if (!md || X509_digest(cert, md, sum, &n) != 1) {
		ERR_clear_error();
		lua_pushnil(L);
		lua_pushfstring(L, "digest algorithm not supported (%s)", lua_tostring(L, 2));
		return 2;
	}
	push_hex(L, sum, n, "0123456789abcdef");
	return 1;
}

static int push_time(lua_State *L, const ASN1_TIME *time)
{
	char text[64];
	BIO *bio = BIO_new(BIO_s_mem());
	int n = bio && ASN1_TIME_print(bio, time) ? BIO_read(bio, text, sizeof text) : 0;

	BIO_free(bio);
	lua_pushlstring(L, text, n > 0 ? (size_t)n : 0);
	return 1;
}

static int l_notbefore(lua_State *L)
{
	return push_time(L, X509_get0_notBefore(check(L, 1)));
}

static int l_notafter(lua_State *L)
{
	return push_time(L, X509_get0_notAfter(check(L, 1)));
}

/* validat(seconds): whether that time is between the two */
static int l_validat(lua_State *L)
{
	X509 *cert = check(L, 1);
	time_t at = (time_t)luaL_checkinteger(L, 2);

	lua_pushboolean(L, X509_cmp_time(X509_get0_notBefore(cert), &at) < 0 &&
			       X509_cmp_time(X509_get0_notAfter(cert), &at) > 0);
	return 1;
}

/* ---- text ---- */

static int l_pem(lua_State *L)
{
	X509 *cert = check(L, 1);
	int der = i2d_X509(cert, NULL), n = 0;
	size_t room = der > 0 ? 2 * (size_t)der + 128 : 0; /* base64 and two lines */
	luaL_Buffer b;
	char *out = luaL_buffinitsize(L, &b, room);
	BIO *bio = BIO_new(BIO_s_mem()); /* nothing raises while it is ours */

	if (bio && PEM_write_bio_X509(bio, cert) == 1)
		n = BIO_read(bio, out, (int)room);
	BIO_free(bio);
	luaL_pushresultsize(&b, n > 0 ? (size_t)n : 0);
	return 1;
}

static int l_getsignaturename(lua_State *L)
{
	lua_pushstring(L, OBJ_nid2sn(X509_get_signature_nid(check(L, 1))));
	return 1;
}

/* pubkey(): type ("RSA", "EC"), bits */
static int l_pubkey(lua_State *L)
{
	EVP_PKEY *key = X509_get0_pubkey(check(L, 1));
	const char *type = key ? EVP_PKEY_get0_type_name(key) : NULL;

	if (!type)
		return 0;
	lua_pushstring(L, type);
	lua_pushinteger(L, EVP_PKEY_get_bits(key));
	return 2;
}

static int l_equals(lua_State *L)
{
	lua_pushboolean(L, X509_cmp(check(L, 1), check(L, 2)) == 0);
	return 1;
}

/* matches(name): whether it is a certificate for that host (RFC 6125) */
static int l_matches(lua_State *L)
{
	X509 *cert = check(L, 1);
	size_t n;
	const char *name = luaL_checklstring(L, 2, &n);

	lua_pushboolean(L,
	    X509_check_host(cert, name, n, 0, NULL) == 1 || X509_check_ip_asc(cert, name, 0) == 1);
	ERR_clear_error();
	return 1;
}

/* ---- alternative names ---- */

/* Appends the value on the top to list field `name` of the table below it. */
static void append(lua_State *L, const char *name)
{
	luaL_getsubtable(L, -2, name);
	lua_insert(L, -2);
	lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
	lua_pop(L, 1);
}

static void push_address(lua_State *L, const ASN1_OCTET_STRING *bytes)
{
	char text[INET6_ADDRSTRLEN] = "";
	int n = ASN1_STRING_length(bytes);

	if (n == 4 || n == 16)
		inet_ntop(
		    n == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(bytes), text, sizeof text);
	lua_pushstring(L, text);
}

static void add_general_name(lua_State *L, const GENERAL_NAME *name)
{
	switch (name->type) {
	case GEN_DNS:
		push_asn1(L, name->d.dNSName);
		append(L, "dNSName");
		break;
	case GEN_EMAIL:
		push_asn1(L, name->d.rfc822Name);
		append(L, "rfc822Name");
		break;
	case GEN_URI:
		push_asn1(L, name->d.uniformResourceIdentifier);
		append(L, "uniformResourceIdentifier");
		break;
	case GEN_IPADD:
		push_address(L, name->d.iPAddress);
		append(L, "iPAddress");
		break;
	default: break;
	}
}

/* Frees the names in the box when Lua does: what fills the table may raise. */
static int l_names_gc(lua_State *L)
{
	GENERAL_NAMES **box = lua_touserdata(L, 1);

	GENERAL_NAMES_free(*box);
	*box = NULL;
	return 0;
}

static GENERAL_NAMES *push_names(lua_State *L, X509 *cert)
{
	GENERAL_NAMES **box = lua_newuserdatauv(L, sizeof *box, 0);

	*box = NULL;
	lua_createtable(L, 0, 1);
	lua_pushcfunction(L, l_names_gc);
	lua_setfield(L, -2, "__gc");
	lua_setmetatable(L, -2);
	*box = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	return *box;
}

/* extensions(): only the alternative names, keyed as LuaSec does by their OID */
static int l_extensions(lua_State *L)
{
	GENERAL_NAMES *names = push_names(L, check(L, 1));

	lua_newtable(L);
	if (!names)
		return 1;
	push_oid(L, OBJ_nid2obj(NID_subject_alt_name));
	lua_newtable(L);
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++)
		add_general_name(L, sk_GENERAL_NAME_value(names, i));
	lua_pushliteral(L, "X509v3 Subject Alternative Name");
	lua_setfield(L, -2, "name");
	lua_rawset(L, -3);
	return 1;
}

void lua_push_x509_class(lua_State *L)
{
	static const luaL_Reg methods[] = {{"subject", l_subject}, {"issuer", l_issuer},
	    {"serial", l_serial}, {"digest", l_digest}, {"notbefore", l_notbefore},
	    {"notafter", l_notafter}, {"validat", l_validat}, {"pem", l_pem},
	    {"getsignaturename", l_getsignaturename}, {"pubkey", l_pubkey}, {"equals", l_equals},
	    {"matches", l_matches}, {"extensions", l_extensions}, {NULL, NULL}};

	luaL_newmetatable(L, CERTIFICATE);
	lua_pushcfunction(L, l_gc);
	lua_setfield(L, -2, "__gc");
	lua_pushcfunction(L, l_equals);
	lua_setfield(L, -2, "__eq");
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	luaL_newlib(L, methods);
	lua_setfield(L, -2, "__index");
	lua_pop(L, 1);
}
