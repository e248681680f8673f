/* What TLS connections begin with: certificate, key, policy, and the contexts of other names.
 * Counted; connections hold theirs, so replacing one disturbs nobody.
 *
 * A ClientHello is looked at before OpenSSL looks for a session: the context of its name is put in
 * place first, and a session of another name or listener is never resumed. */
#ifndef NET_TLS_CTX_H
#define NET_TLS_CTX_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

struct tls_ctx;

/* Server or client, TLS 1.2 and later, no compression, no renegotiation. NULL with tls_error(). */
struct tls_ctx *tls_ctx_new(bool server);
struct tls_ctx *tls_ctx_hold(struct tls_ctx *ctx);
void tls_ctx_release(struct tls_ctx **held);

SSL_CTX *tls_ctx_ssl(struct tls_ctx *ctx); /* borrowed */
bool tls_ctx_is_server(const struct tls_ctx *ctx);

/* Each: 0, or -1 with tls_error(). The certificate may be followed by those of its CAs; the key
 * must be that of the certificate. An encrypted key needs the password. */
int tls_ctx_certificate(
    struct tls_ctx *ctx, const char *cert_file, const char *key_file, const char *password);
/* Last, once certificate and trust are there: looks for the CAs that go out with a certificate
 * whose file has none. They are those that OpenSSL would look for in the trust at each handshake,
 * root included, by 10,000 instructions and an lstat in the folder of CAs. */
void tls_ctx_chain(struct tls_ctx *ctx);
/* "tlsv1_2", "tlsv1_3", "tlsv1_2+", "tlsv1_3+", …; what is below 1.2 is refused. */
int tls_ctx_protocol(struct tls_ctx *ctx, const char *words);
/* NULL: not set. Ciphers of TLS 1.2, of 1.3, groups. */
int tls_ctx_ciphers(
    struct tls_ctx *ctx, const char *ciphers, const char *suites, const char *groups);
int tls_ctx_trust(struct tls_ctx *ctx, const char *file, const char *folder);
/* Protocols in the wire form of RFC 7301: length and name, again and again. A peer of a server that
 * shares none with it is refused. */
int tls_ctx_alpn(struct tls_ctx *ctx, const unsigned char *wire, size_t n);

enum { TLS_ALPN_MAX = 4096 };

/* Asked in each handshake of a server whose peer offers protocols (`offered`, wire form): writes
 * those that it would speak, the best first, and returns their length; 0: none, and the handshake
 * goes on without, as it does when none is shared (LuaSec's rule for functions); -1: the handshake
 * fails. It may destroy the connection. */
typedef int tls_alpn_fn(
    void *data, const unsigned char *offered, size_t n, unsigned char wire_r[TLS_ALPN_MAX]);

/* Takes `data`: freed by `release`, at the latest with the context. In place of a list. */
void tls_ctx_alpn_take(
    struct tls_ctx *ctx, tls_alpn_fn *fn, void *data, void (*release)(void *data));

/* Finite-field parameters from a PEM file; without, OpenSSL's own. */
int tls_ctx_dhparam(struct tls_ctx *ctx, const char *file);

struct tls_verify {
	int mode, depth;     /* SSL_VERIFY_…; -1: OpenSSL's depth */
	unsigned long flags; /* X509_V_FLAG_… */
	bool go_on;          /* a failed verification ends nothing and is told to who asks */
	bool any_purpose;    /* a certificate that is not meant for this side is as good */
};

void tls_ctx_verify(struct tls_ctx *ctx, const struct tls_verify *how);

/* Sessions are resumed only under the same label and name. */
void tls_ctx_label(struct tls_ctx *ctx, const char *label);

/* The context of a name ("*.x" stands for one label), held; NULL takes it away. Once there is one,
 * a name that is unknown is refused; no name at all gets `ctx` itself. 0, or -1 with ENOMEM. */
int tls_ctx_sni(struct tls_ctx *ctx, const char *text, struct tls_ctx *other);

/* What OpenSSL reports first, or `fallback`; empties its error queue. Static storage. */
const char *tls_error(const char *fallback);

#endif
