#include "net/tls_ctx.h"

#include "net/tls.h"
#include "net/tls_tickets.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 255, SID = 32 };

struct sni {
	struct sni *next;
	struct tls_ctx *ctx; /* holds */
	unsigned char sid[SID];
	char name[];
};

struct tls_ctx {
	SSL_CTX *ssl;
	struct sni *sni;
	unsigned char *alpn; /* wire form */
	size_t alpn_len;
	tls_alpn_fn *alpn_fn; /* NULL: alpn is what counts */
	void *alpn_data;
	void (*alpn_release)(void *data);
	char *label;
	unsigned refs;
	bool server, go_on;
};

const char *tls_error(const char *fallback)
{
	unsigned long code = ERR_get_error();
	const char *words = code ? ERR_reason_error_string(code) : NULL;

	if (code && ERR_SYSTEM_ERROR(code))
		words = strerror(ERR_GET_REASON(code));
	ERR_clear_error();
	return words ? words : fallback;
}

SSL_CTX *tls_ctx_ssl(struct tls_ctx *ctx)
{
	return ctx->ssl;
}

bool tls_ctx_is_server(const struct tls_ctx *ctx)
{
	return ctx->server;
}

/* ---- names ---- */

static void make_sid(const struct tls_ctx *ctx, const char *name, unsigned char sid[SID])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	unsigned int size = SID;
	const char *label = ctx->label ? ctx->label : "";

	memset(sid, 0, SID);
	if (md && EVP_DigestInit_ex(md, EVP_sha256(), NULL)) {
		EVP_DigestUpdate(md, label, strlen(label) + 1);
		EVP_DigestUpdate(md, name, strlen(name));
		EVP_DigestFinal_ex(md, sid, &size);
	}
	EVP_MD_CTX_free(md);
}

/* Lower case, without the final dot; false: no name that a context could have. */
static bool plain_name(char out[NAME_MAX_BYTES + 1], const unsigned char *name, size_t n)
{
	if (n && name[n - 1] == '.')
		n--;
	if (n == 0 || n > NAME_MAX_BYTES || memchr(name, 0, n))
		return false;
	for (size_t i = 0; i < n; i++)
		out[i] = (char)tolower(name[i]);
	out[n] = '\0';
	return true;
}

static struct sni *find_exact(const struct tls_ctx *ctx, const char *name)
{
	struct sni *s = ctx->sni;

	while (s && strcmp(s->name, name) != 0)
		s = s->next;
	return s;
}

static struct sni *find(const struct tls_ctx *ctx, const char *name)
{
	struct sni *s = find_exact(ctx, name);
	const char *rest = strchr(name, '.');
	char wild[NAME_MAX_BYTES + 2];

	if (s || !rest)
		return s;
	wild[0] = '*';
	memcpy(wild + 1, rest, strlen(rest) + 1);
	return find_exact(ctx, wild);
}

/* The host name of a ClientHello, as RFC 6066 3 lays it out: 1; 0 if there is none; -1 if it is
 * broken. */
static int hello_name(SSL *ssl, const unsigned char **name_r, size_t *n_r)
{
	const unsigned char *p;
	size_t n;

	if (!SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &p, &n))
		return 0;
	if (n < 5 || (size_t)(p[0] << 8 | p[1]) != n - 2 || p[2] != TLSEXT_NAMETYPE_host_name ||
	    (size_t)(p[3] << 8 | p[4]) != n - 5)
		return -1;
	*name_r = p + 5;
	*n_r = n - 5;
	return 1;
}

static void put_in_place(SSL *ssl, struct sni *s)
{
	SSL_CTX *other = s->ctx->ssl;
	struct tls *t = tls_from_ssl(ssl);
	struct tls_ctx *before = t->ctx;

	SSL_set_SSL_CTX(ssl, other);
	SSL_set_verify(ssl, SSL_CTX_get_verify_mode(other), SSL_CTX_get_verify_callback(other));
	SSL_set_verify_depth(ssl, SSL_CTX_get_verify_depth(other));
	SSL_clear_options(ssl, SSL_get_options(ssl) & ~SSL_CTX_get_options(other));
	SSL_set_options(ssl, SSL_CTX_get_options(other));
	SSL_set_min_proto_version(ssl, SSL_CTX_get_min_proto_version(other));
	SSL_set_max_proto_version(ssl, SSL_CTX_get_max_proto_version(other));
	SSL_set_session_id_context(ssl, s->sid, SID);
	t->ctx = tls_ctx_hold(s->ctx);
	tls_ctx_release(&before); /* may free `s` */
}

static int on_hello(SSL *ssl, int *alert, void *arg)
{
	struct tls_ctx *ctx = arg;
	char name[NAME_MAX_BYTES + 1];
	const unsigned char *raw = NULL;
	size_t n = 0;
	int r;
	struct sni *s = NULL;

	if (!ctx->sni)
		return SSL_CLIENT_HELLO_SUCCESS;
	r = hello_name(ssl, &raw, &n);
	if (r == 0)
		return SSL_CLIENT_HELLO_SUCCESS;
	if (r > 0 && plain_name(name, raw, n))
		s = find(ctx, name);
	if (!s) {
		*alert = r > 0 ? SSL_AD_UNRECOGNIZED_NAME : SSL_AD_DECODE_ERROR;
		return SSL_CLIENT_HELLO_ERROR;
	}
	put_in_place(ssl, s);
	return SSL_CLIENT_HELLO_SUCCESS;
}

int tls_ctx_sni(struct tls_ctx *ctx, const char *text, struct tls_ctx *other)
{
	char name[NAME_MAX_BYTES + 1];
	struct sni **link = &ctx->sni, *s;
	size_t n;

	if (!plain_name(name, (const unsigned char *)text, strlen(text))) {
		errno = EINVAL;
		return -1;
	}
	n = strlen(name) + 1;
	while (*link && strcmp((*link)->name, name) != 0)
		link = &(*link)->next;
	s = *link;
	if (!s && other) {
		s = calloc(1, sizeof *s + n);
		if (!s)
			return -1;
		memcpy(s->name, name, n);
		*link = s;
	}
	if (!s)
		return 0;
	if (other)
		other = tls_ctx_hold(other);
	tls_ctx_release(&s->ctx);
	s->ctx = other;
	if (other) {
		make_sid(ctx, s->name, s->sid);
	} else {
		*link = s->next;
		free(s);
	}
	return 0;
}

void tls_ctx_label(struct tls_ctx *ctx, const char *label)
{
	unsigned char sid[SID];

	free(ctx->label);
	ctx->label = strdup(label);
	make_sid(ctx, "", sid);
	SSL_CTX_set_session_id_context(ctx->ssl, sid, SID);
}

/* ---- protocols behind TLS ---- */

/* The first of `ours` that stands in `theirs`, as a part of `theirs`: what a function wrote does
 * not outlive the callback. */
static bool select_protocol(const unsigned char *ours, size_t n, const unsigned char *theirs,
    size_t m, const unsigned char **out_r, unsigned char *out_n_r)
{
	for (size_t i = 0; i < n; i += 1U + ours[i])
		for (size_t j = 0; j < m; j += 1U + theirs[j])
			if (i + ours[i] < n && j + theirs[j] < m && ours[i] == theirs[j] &&
			    memcmp(ours + i + 1, theirs + j + 1, ours[i]) == 0) {
				*out_r = theirs + j + 1;
				*out_n_r = theirs[j];
				return true;
			}
	return false;
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
    const unsigned char *in, unsigned int in_n, void *arg)
{
	static unsigned char answer[TLS_ALPN_MAX];
	struct tls_ctx *ctx = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	int n;

	(void)arg;
	if (ctx->alpn_fn) {
		n = ctx->alpn_fn(ctx->alpn_data, in, in_n, answer);
		if (n < 0)
			return SSL_TLSEXT_ERR_ALERT_FATAL;
		return select_protocol(answer, (size_t)n, in, in_n, out, out_n)
			   ? SSL_TLSEXT_ERR_OK
			   : SSL_TLSEXT_ERR_NOACK;
	}
	if (!ctx->alpn)
		return SSL_TLSEXT_ERR_NOACK;
	/* ours first; none in common ends the handshake (RFC 7301 3.2), or one protocol's bytes
	 * would reach another's parser */
	return select_protocol(ctx->alpn, ctx->alpn_len, in, in_n, out, out_n)
		   ? SSL_TLSEXT_ERR_OK
		   : SSL_TLSEXT_ERR_ALERT_FATAL;
}

int tls_ctx_alpn(struct tls_ctx *ctx, const unsigned char *wire, size_t n)
{
	unsigned char *copy = malloc(n ? n : 1);

	if (!copy)
		return -1;
	memcpy(copy, wire, n);
	free(ctx->alpn);
	ctx->alpn = copy;
	ctx->alpn_len = n;
	if (ctx->server)
		return 0;
	return SSL_CTX_set_alpn_protos(ctx->ssl, wire, (unsigned)n) == 0 ? 0 : -1;
}

static void forget_alpn(struct tls_ctx *ctx)
{
	if (ctx->alpn_release)
		ctx->alpn_release(ctx->alpn_data);
	ctx->alpn_fn = NULL;
	ctx->alpn_data = NULL;
	ctx->alpn_release = NULL;
}

void tls_ctx_alpn_take(
    struct tls_ctx *ctx, tls_alpn_fn *fn, void *data, void (*release)(void *data))
{
	forget_alpn(ctx);
	ctx->alpn_fn = fn;
	ctx->alpn_data = data;
	ctx->alpn_release = release;
}

/* ---- verification ---- */

static int on_verify(int ok, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls *t = tls_from_ssl(ssl);
	const struct tls_ctx *ctx = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

	if (ok)
		return 1;
	if (t && t->n_errors < TLS_ERRORS) {
		t->errors[t->n_errors].depth = (uint8_t)X509_STORE_CTX_get_error_depth(store);
		t->errors[t->n_errors++].code = (uint16_t)X509_STORE_CTX_get_error(store);
	}
	return ctx && ctx->go_on;
}

void tls_ctx_verify(struct tls_ctx *ctx, const struct tls_verify *how)
{
	X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ctx->ssl);

	ctx->go_on = how->go_on;
	SSL_CTX_set_verify(ctx->ssl, how->mode, on_verify);
	if (how->depth >= 0)
		SSL_CTX_set_verify_depth(ctx->ssl, how->depth);
	X509_VERIFY_PARAM_set_flags(param, how->flags);
	if (how->any_purpose)
		X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_ANY);
}

int tls_ctx_trust(struct tls_ctx *ctx, const char *file, const char *folder)
{
	ERR_clear_error();
	if (file && SSL_CTX_load_verify_file(ctx->ssl, file) != 1)
		return -1;
	if (folder && SSL_CTX_load_verify_dir(ctx->ssl, folder) != 1)
		return -1;
	return 0;
}

/* ---- certificate, policy ---- */

static int give_password(char *out, int size, int writing, void *arg)
{
	const char *password = arg;
	size_t n = password ? strlen(password) : 0;

	(void)writing;
	if (!password || n > (size_t)size)
		return -1;             /* OpenSSL's default would ask the terminal */
	for (size_t i = 0; i < n; i++) /* without the end of the string, as OpenSSL wants it */
		out[i] = password[i];
	return (int)n;
}

int tls_ctx_certificate(
    struct tls_ctx *ctx, const char *cert_file, const char *key_file, const char *password)
{
	int ok;

	ERR_clear_error();
	SSL_CTX_set_default_passwd_cb(ctx->ssl, give_password);
	SSL_CTX_set_default_passwd_cb_userdata(ctx->ssl, (void *)password);
	ok =
	    (!cert_file || SSL_CTX_use_certificate_chain_file(ctx->ssl, cert_file) == 1) &&
	    (!key_file || SSL_CTX_use_PrivateKey_file(ctx->ssl, key_file, SSL_FILETYPE_PEM) == 1) &&
	    (!cert_file || !key_file || SSL_CTX_check_private_key(ctx->ssl) == 1);
	SSL_CTX_set_default_passwd_cb_userdata(ctx->ssl, NULL);
	return ok ? 0 : -1;
}

void tls_ctx_chain(struct tls_ctx *ctx)
{
	SSL_CTX *ssl = ctx->ssl;
	STACK_OF(X509) * known;
	long more;

	for (more = SSL_CTX_set_current_cert(ssl, SSL_CERT_SET_FIRST); more == 1;
	     more = SSL_CTX_set_current_cert(ssl, SSL_CERT_SET_NEXT)) {
		known = NULL;
		if (SSL_CTX_get0_chain_certs(ssl, &known) == 1 && !known)
			SSL_CTX_build_cert_chain(ssl, SSL_BUILD_CHAIN_FLAG_IGNORE_ERROR);
	}
	ERR_clear_error(); /* what cannot be built is looked for at each handshake, as before */
}

int tls_ctx_protocol(struct tls_ctx *ctx, const char *words)
{
	static const struct {
		const char *words;
		int low, high;
	} known[] = {
	    {"tlsv1_2", TLS1_2_VERSION, TLS1_2_VERSION},
	    {"tlsv1_3", TLS1_3_VERSION, TLS1_3_VERSION},
	    {"tlsv1_2+", TLS1_2_VERSION, 0},
	    {"tlsv1_3+", TLS1_3_VERSION, 0},
	    /* older ones are raised to what is still sound */
	    {"any", TLS1_2_VERSION, 0},
	    {"sslv23", TLS1_2_VERSION, 0},
	    {"tlsv1+", TLS1_2_VERSION, 0},
	    {"tlsv1_1+", TLS1_2_VERSION, 0},
	};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strcmp(known[i].words, words) == 0) {
			SSL_CTX_set_min_proto_version(ctx->ssl, known[i].low);
			SSL_CTX_set_max_proto_version(ctx->ssl, known[i].high);
			return 0;
		}
	ERR_raise_data(ERR_LIB_SSL, SSL_R_UNSUPPORTED_PROTOCOL, "%s", words);
	return -1;
}

int tls_ctx_ciphers(
    struct tls_ctx *ctx, const char *ciphers, const char *suites, const char *groups)
{
	ERR_clear_error();
	if (ciphers && SSL_CTX_set_cipher_list(ctx->ssl, ciphers) != 1)
		return -1;
	if (suites && SSL_CTX_set_ciphersuites(ctx->ssl, suites) != 1)
		return -1;
	return groups && SSL_CTX_set1_groups_list(ctx->ssl, groups) != 1 ? -1 : 0;
}

int tls_ctx_dhparam(struct tls_ctx *ctx, const char *file)
{
	BIO *bio;
	EVP_PKEY *params;

	ERR_clear_error();
	bio = BIO_new_file(file, "r");
	params = bio ? PEM_read_bio_Parameters(bio, NULL) : NULL;
	BIO_free(bio);
	if (!params)
		return -1;
	SSL_CTX_set_dh_auto(ctx->ssl, 0);
	if (SSL_CTX_set0_tmp_dh_pkey(ctx->ssl, params) == 1)
		return 0;
	EVP_PKEY_free(params);
	return -1;
}

/* ---- life ---- */

static int set_up(struct tls_ctx *ctx)
{
	SSL_CTX *ssl = ctx->ssl;

	SSL_CTX_set_app_data(ssl, ctx);
	SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION);
	SSL_CTX_set_options(ssl, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
				     SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* tickets only: no session is kept in this process */
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_dh_auto(ssl, 1);
	SSL_CTX_set_info_callback(ssl, tls_on_info);
	if (!ctx->server)
		return 0;
	SSL_CTX_set_client_hello_cb(ssl, on_hello, ctx);
	SSL_CTX_set_alpn_select_cb(ssl, on_alpn, NULL);
	tls_ctx_label(ctx, "");
	return tls_tickets_use(ssl);
}

struct tls_ctx *tls_ctx_new(bool server)
{
	struct tls_ctx *ctx = calloc(1, sizeof *ctx);

	if (!ctx)
		return NULL;
	ERR_clear_error();
	ctx->refs = 1;
	ctx->server = server;
	ctx->ssl = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
	if (!ctx->ssl || set_up(ctx) < 0)
		tls_ctx_release(&ctx);
	return ctx;
}

struct tls_ctx *tls_ctx_hold(struct tls_ctx *ctx)
{
	ctx->refs++;
	return ctx;
}

void tls_ctx_release(struct tls_ctx **held)
{
	struct tls_ctx *ctx = *held;
	struct sni *s;

	*held = NULL;
	if (!ctx || --ctx->refs > 0)
		return;
	while ((s = ctx->sni)) {
		ctx->sni = s->next;
		tls_ctx_release(&s->ctx);
		free(s);
	}
	SSL_CTX_free(ctx->ssl);
	forget_alpn(ctx);
	free(ctx->alpn);
	free(ctx->label);
	free(ctx);
}
