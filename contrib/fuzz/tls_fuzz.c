/* Fuzzes TLS records against a connection of ours over a socket pair, before, in and after the
 * handshake.
 *
 *   byte 0   how: RAW, STARTTLS, V12, how many patches
 *   byte 1   size of the pieces in which the peer's bytes arrive
 *   patches  3 bytes each: offset in what a real client says (big endian), bits that change there
 *   the rest is sent as it is: instead of the client (RAW), else behind what it says
 *
 * Holds that no plaintext passes where TLS was meant, that the end is told once, and that OpenSSL's
 * error queue is empty behind each turn. */
#include "net/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

enum { RAW = 0x80, STARTTLS = 0x40, V12 = 0x20, PATCHES = 7, TURNS = 12 };

static struct tls_ctx *ctx;
static SSL_CTX *client_ctx;
static struct loop *loop;

/* One input. */
static struct {
	struct conn conn;
	int peer;
	const uint8_t *patches;
	size_t n_patches, sent, piece;
	unsigned ends;
	bool secured, asked, released;
} run;

static void check(bool ok)
{
	if (!ok)
		abort();
}

/* ---- our end ---- */

static void on_connect(struct conn *c)
{
	check(run.secured);
	conn_write(c, "hello\n", 6);
}

static void on_incoming(struct conn *c, const char *bytes, size_t n, const char *err)
{
	(void)err;
	check(run.secured || !run.asked);
	if (run.secured) {
		conn_write(c, bytes, n);
		return;
	}
	run.asked = true;
	conn_write(c, "go\n", 3);
	(void)tls_begin(c, ctx, NULL);
}

static void on_reads(struct conn_reads *reads)
{
	while (conn_next_read(reads))
		on_incoming(reads->conn, reads->bytes, reads->n, reads->err);
}

static void on_secured(struct conn *c)
{
	check(run.asked && tls_of(c)->done);
	run.secured = true;
}

static void on_disconnect(struct conn *c, const char *why)
{
	(void)c;
	check(++run.ends == 1 && (!why || *why));
}

static void on_nothing(struct conn *c)
{
	(void)c;
}

static bool on_question(struct conn *c)
{
	(void)c;
	return false;
}

static void on_released(struct conn *c)
{
	check(c->state == CONN_CLOSED && !c->secret);
	run.released = true;
}

static bool hears_end(struct conn *c)
{
	return c->serial % 2 == 0;
}

static const struct conn_ops ops = {
    .connect = on_connect,
    .incoming = on_incoming,
    .reads = on_reads,
    .hears_end = hears_end,
    .predrain = on_nothing,
    .drain = on_nothing,
    .read_timeout = on_question,
    .line_too_long = on_question,
    .securing = on_nothing,
    .secured = on_secured,
    .disconnect = on_disconnect,
    .released = on_released,
};

static void turns(void)
{
	for (int i = 0; i < TURNS && loop_step(loop) > 0; i++)
		check(ERR_peek_error() == 0);
}

/* ---- the peer ---- */

static void say(const uint8_t *bytes, size_t n)
{
	while (n > 0) {
		size_t part = n < run.piece ? n : run.piece;
		ssize_t done = send(run.peer, bytes, part, MSG_DONTWAIT | MSG_NOSIGNAL);

		turns();
		if (done <= 0)
			return;
		bytes += done;
		n -= (size_t)done;
	}
}

/* What the client says, with the patches that fall into it. */
static void say_patched(uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < run.n_patches; i++) {
		const uint8_t *p = run.patches + 3 * i;
		size_t at = (size_t)(p[0] << 8 | p[1]);

		if (at >= run.sent && at - run.sent < n)
			bytes[at - run.sent] ^= p[2];
	}
	run.sent += n;
	say(bytes, n);
}

static void pass_on(BIO *out, BIO *in)
{
	static uint8_t bytes[65536];
	ssize_t got;
	int n = BIO_read(out, bytes, sizeof bytes);

	if (n > 0)
		say_patched(bytes, (size_t)n);
	got = recv(run.peer, bytes, sizeof bytes, MSG_DONTWAIT);
	if (got > 0)
		BIO_write(in, bytes, (int)got);
}

static void client(bool old)
{
	SSL *ssl = SSL_new(client_ctx);
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	char room[512];

	check(ssl && in && out);
	SSL_set_bio(ssl, in, out);
	SSL_set_connect_state(ssl);
	if (old)
		SSL_set_max_proto_version(ssl, TLS1_2_VERSION);
	for (int i = 0; i < 4 && SSL_do_handshake(ssl) != 1; i++) {
		ERR_clear_error(); /* one thread: the queue is also that of the connection */
		pass_on(out, in);
	}
	if (SSL_is_init_finished(ssl))
		(void)SSL_write(ssl, "data\n", 5);
	ERR_clear_error();
	pass_on(out, in);
	(void)SSL_read(ssl, room, sizeof room);
	ERR_clear_error();
	SSL_free(ssl);
}

/* ---- an input ---- */

static size_t read_head(const uint8_t *data, size_t size)
{
	memset(&run, 0, sizeof run);
	run.piece = data[1] ? data[1] * 16U : 1;
	run.n_patches = data[0] & PATCHES;
	run.patches = data + 2;
	if (2 + 3 * run.n_patches > size)
		run.n_patches = 0;
	return 2 + 3 * run.n_patches;
}

static void begin(bool later)
{
	int pair[2];

	check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
	run.peer = pair[1];
	conn_init(&run.conn, loop);
	run.asked = !later;
	if (!later)
		check(tls_begin(&run.conn, ctx, NULL) == 0);
	conn_accept_take(&run.conn, pair[0], CONN_CLIENT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t head;

	if (size < 2)
		return 0;
	head = read_head(data, size);
	begin(data[0] & STARTTLS);
	if (data[0] & STARTTLS) {
		say((const uint8_t *)"STARTTLS\n", 9);
		(void)recv(run.peer, (char[3]){0}, 3, MSG_DONTWAIT);
	}
	if (!(data[0] & RAW))
		client(data[0] & V12);
	say(data + head, size - head);
	close(run.peer);
	turns();
	check(ERR_peek_error() == 0);
	conn_fini(&run.conn);
	check(run.conn.state == CONN_CLOSED);
	return 0;
}

/* ---- certificate ---- */

static void certify(SSL_CTX *ssl)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();

	check(key && cert && ASN1_INTEGER_set(X509_get_serialNumber(cert), 1) &&
	      X509_gmtime_adj(X509_getm_notBefore(cert), 0) &&
	      X509_gmtime_adj(X509_getm_notAfter(cert), 86400) && X509_set_pubkey(cert, key) &&
	      X509_sign(cert, key, EVP_sha256()));
	check(SSL_CTX_use_certificate(ssl, cert) == 1 && SSL_CTX_use_PrivateKey(ssl, key) == 1);
	X509_free(cert);
	EVP_PKEY_free(key);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	loop = loop_main();
	loop->ops = &ops;
	ctx = tls_ctx_new(true);
	client_ctx = SSL_CTX_new(TLS_client_method());
	check(loop && ctx && client_ctx);
	certify(tls_ctx_ssl(ctx));
	return 0;
}
