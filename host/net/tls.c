#include "net/tls.h"

#include "net/neterr.h"
#include "net/tls_bio.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

/* A peer may send as many new keys (and a server tickets) with no data between them: each costs far
 * more to take than to send, and nobody who has nothing to say needs them. */
enum { STEPS_MAX = 64 };

struct tls *tls_of(const struct conn *c)
{
	return (struct tls *)c->secret; /* no other transport has one */
}

struct tls *tls_from_ssl(const SSL *ssl)
{
	BIO *bio = SSL_get_rbio(ssl); /* SSL_set_app_data would cost 100 bytes a connection */

	return bio ? BIO_get_data(bio) : NULL;
}

void tls_on_info(const SSL *ssl, int where, int ret)
{
	struct tls *t = tls_from_ssl(ssl);

	(void)ret;
	if ((where & SSL_CB_LOOP) && t && t->done && t->steps <= STEPS_MAX)
		t->steps++;
}

/* ---- results ---- */

/* What an SSL call that failed means: 0 the end of the stream; -1 with errno. */
static int result(struct tls *t, int ret, bool reading)
{
	struct conn *c = t->conn;

	switch (SSL_get_error(t->ssl, ret)) {
	case SSL_ERROR_WANT_READ:
		if (!reading)
			c->wants_read = true;
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_WANT_WRITE:
		if (reading)
			c->wants_write = true;
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_ZERO_RETURN: return 0;
	case SSL_ERROR_SYSCALL:
		t->dead = reading;
		ERR_clear_error();
		errno = t->error ? t->error : ECONNRESET;
		return -1;
	default:
		t->dead = true;
		t->why = tls_error("tls error");
		errno = EPROTO;
		return -1;
	}
}

static const char *tls_why(struct conn *c, int error)
{
	struct tls *t = tls_of(c);

	return error == EPROTO && t->why ? t->why : net_strerror(error);
}

/* ---- the transport ---- */

/* Flights of a handshake are small and each waits for the other's: Nagle would cost 40 ms. Who has
 * just been accepted has it from the listener. */
static void no_delay(const struct conn *c)
{
	int on = 1;

	if (c->server && c->state == CONN_CONNECTING && !c->loop->settings.nagle)
		return;
	setsockopt(c->io.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void tls_free(struct tls **tls)
{
	struct tls *t = *tls;

	*tls = NULL;
	SSL_free(t->ssl);
	tls_ctx_release(&t->ctx);
	buf_free(&t->held);
	buf_free(&t->late);
	free(t);
}

/* What is late has not gone, with errno: the handshake waits, or is over. */
static int stuck(struct tls *t)
{
	if (tls_bio_is_full(errno)) {
		t->conn->wants_write = true;
		errno = EAGAIN;
	} else {
		t->dead = true;
	}
	return -1;
}

/* One step in OpenSSL, over one receive: SSL_do_handshake's result. */
static int step(struct tls *t)
{
	int r;

	tls_bio_begin(t, true);
	t->busy = true;
	r = SSL_do_handshake(t->ssl); /* empties the queue of errors first */
	t->busy = false;
	tls_bio_end(t);
	return r;
}

static int failed(struct tls *t, int r)
{
	int sent = tls_bio_push(t), error = errno; /* an alert too */

	if (result(t, r, true) == 0) {
		t->why = "closed";
		errno = EPROTO;
	}
	if (sent < 0 && errno == EAGAIN) {
		errno = error;
		return stuck(t);
	}
	return -1;
}

static int tls_handshake(struct conn *c)
{
	struct tls *t = tls_of(c);
	int r;

	if (SSL_in_before(t->ssl))
		no_delay(c);
	c->wants_write = false;
	if (tls_bio_push(t) < 0)
		return stuck(t);
	r = step(t);
	if (t->orphan) {
		tls_free(&t);
		ERR_clear_error();
		errno = ECANCELED;
		return -1;
	}
	if (r != 1)
		return failed(t, r);
	t->done = true;
	c->more = t->held != NULL;
	return 0;
}

static void tls_flush(struct conn *c)
{
	struct tls *t = tls_of(c);

	if (tls_bio_push(t) == 0)
		return;
	if (tls_bio_is_full(errno))
		c->wants_write = true;
	else
		buf_free(&t->late); /* the read side finds out */
}

static int flooded(struct tls *t)
{
	t->dead = true;
	t->why = "too many key updates";
	return EPROTO;
}

static ssize_t ended(struct tls *t)
{
	if (t->end <= 0)
		return 0;
	errno = t->end;
	return -1;
}

static ssize_t tls_recv(struct conn *c, void *bytes, size_t n)
{
	struct tls *t = tls_of(c);
	size_t got = 0, part = 0;
	int r = 1, why = 0;

	c->more = false;
	if (t->end || t->dead) {
		c->wants_write = false;
		t->end = t->end ? t->end : EPROTO;
		return ended(t);
	}
	if (c->wants_write) {
		c->wants_write = false;
		tls_flush(c); /* else it goes with what this read is answered by */
	}
	tls_bio_begin(t, !t->held); /* first what is here; the kernel tells of what it has */
	ERR_clear_error();
	while (got < n && (r = SSL_read_ex(t->ssl, (char *)bytes + got, n - got, &part)) == 1)
		got += part;
	tls_bio_end(t);
	if (r != 1)
		why = result(t, r, true) == 0 ? -1 : errno;
	if (got)
		t->steps = 0;
	else if (t->steps > STEPS_MAX)
		why = flooded(t);
	if (why && why != EAGAIN)
		t->end = t->end ? t->end : why;
	/* the end comes in a turn of its own; so does what had no room */
	c->more = got && (t->end || r == 1 || (t->held && !c->wants_write));
	if (got)
		return (ssize_t)got;
	if (t->end)
		return ended(t);
	errno = EAGAIN;
	return -1;
}

static ssize_t tls_send(struct conn *c, const void *bytes, size_t n)
{
	struct tls *t = tls_of(c);
	size_t sent = 0, part = 0;
	int r = 1;

	if (t->dead) {
		errno = EPIPE;
		return -1;
	}
	c->wants_read = false;
	ERR_clear_error();
	while (sent < n &&
	       (r = SSL_write_ex(t->ssl, (const char *)bytes + sent, n - sent, &part)) == 1)
		sent += part;
	if (r != 1 && result(t, r, false) == 0)
		errno = EPIPE;
	if (sent)
		return (ssize_t)sent; /* an error shows again at the next call */
	return -1;
}

/* Best effort, once: the close does not wait for the peer's. */
static void tls_bye(struct conn *c)
{
	struct tls *t = tls_of(c);

	if (!t->done || t->dead || (SSL_get_shutdown(t->ssl) & SSL_SENT_SHUTDOWN))
		return;
	ERR_clear_error();
	SSL_shutdown(t->ssl);
	ERR_clear_error();
}

static void tls_discard(struct conn *c)
{
	transport_plain.discard(c);
}

static void tls_fini(struct conn *c)
{
	struct tls *t = tls_of(c);

	c->secret = NULL;
	c->transport = TRANSPORT_PLAIN;
	t->orphan = t->busy;
	if (t->orphan)
		return;
	tls_free(&t);
	ERR_clear_error();
}

const struct transport transport_tls = {
    .name = "tls",
    .recv = tls_recv,
    .send = tls_send,
    .discard = tls_discard,
    .handshake = tls_handshake,
    .flush = tls_flush,
    .why = tls_why,
    .bye = tls_bye,
    .fini = tls_fini,
    .whole = true,
};

/* ---- beginning ---- */

static int attach(struct tls *t)
{
	const BIO_METHOD *method = tls_bio_method();
	BIO *bio = method ? BIO_new(method) : NULL;

	t->ssl = bio ? SSL_new(tls_ctx_ssl(t->ctx)) : NULL;
	if (!t->ssl) {
		BIO_free(bio);
		return -1;
	}
	BIO_set_data(bio, t);
	BIO_set_init(bio, 1);
	SSL_set_bio(t->ssl, bio, bio);
	return 0;
}

/* An address is no server name (RFC 6066 3). */
static bool is_address(const char *name)
{
	unsigned char room[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, name, room) == 1 || inet_pton(AF_INET6, name, room) == 1;
}

static int name_peer(struct tls *t, const char *name)
{
	if (!name || !*name || is_address(name))
		return 0;
	return SSL_set_tlsext_host_name(t->ssl, name) == 1 ? 0 : -1;
}

static struct tls *tls_new(struct conn *c, struct tls_ctx *ctx, const char *name)
{
	struct tls *t = calloc(1, sizeof *t);

	if (!t)
		return NULL;
	t->secret.transport = TRANSPORT_TLS;
	t->conn = c;
	t->ctx = tls_ctx_hold(ctx);
	if (attach(t) < 0)
		goto fail;
	if (tls_ctx_is_server(ctx)) {
		SSL_set_accept_state(t->ssl);
	} else {
		SSL_set_connect_state(t->ssl);
		if (name_peer(t, name) < 0)
			goto fail;
	}
	return t;
fail:
	tls_free(&t);
	ERR_clear_error();
	errno = ENOMEM;
	return NULL;
}

int tls_begin(struct conn *c, struct tls_ctx *ctx, const char *name)
{
	struct tls *t = tls_new(c, ctx, name);

	if (!t)
		return -1;
	if (conn_secure_take(c, &t->secret) == 0)
		return 0;
	tls_free(&t);
	return -1;
}
