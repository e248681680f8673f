#include "net/tls_bio.h"

#include <errno.h>
#include <openssl/bio.h>
#include <string.h>

/* One receive. What OpenSSL may still hold of a record from before and this together are less than
 * LOOP_BUFFER, so the plaintext of a turn always has room. */
enum { FILL = LOOP_BUFFER - 17 * 1024 };

/* What a step of a handshake writes waits up to so many bytes; together with what the first data
 * are, up to TOGETHER. */
enum { LATE_MOST = 16 * 1024, TOGETHER = 4096 };

static struct {
	char bytes[FILL];
	size_t off, len;
	bool filled; /* this turn's receive has been done */
} fill;

void tls_bio_begin(struct tls *t, bool receives)
{
	fill.off = fill.len = 0;
	fill.filled = !receives;
	t->bulk = true;
}

void tls_bio_end(struct tls *t)
{
	size_t left = fill.len - fill.off;

	t->bulk = false;
	if (left && buf_append(&t->held, fill.bytes + fill.off, left) < 0) {
		t->dead = true;
		t->end = ENOMEM;
	}
	fill.off = fill.len = 0;
}

bool tls_bio_is_full(int error)
{
	return error == EAGAIN || error == EINTR || error == ENOBUFS;
}

/* `way`: BIO_FLAGS_READ or _WRITE; OpenSSL takes that flag alone for "try again". */
static int bio_end(BIO *bio, struct tls *t, ssize_t n, int way)
{
	if (n >= 0)
		return (int)n;
	if (tls_bio_is_full(errno)) {
		BIO_set_flags(bio, way | BIO_FLAGS_SHOULD_RETRY);
		return -1;
	}
	t->error = errno;
	return -1;
}

static size_t take_held(struct tls *t, char *bytes, size_t n)
{
	size_t have = buf_len(t->held);

	if (have < n)
		n = have;
	memcpy(bytes, buf_peek(t->held), n);
	buf_consume(&t->held, n);
	return n;
}

static int bio_read_bulk(BIO *bio, struct tls *t, char *bytes, size_t n)
{
	if (fill.off == fill.len && !fill.filled) {
		ssize_t got = transport_plain.recv(t->conn, fill.bytes, FILL);

		fill.filled = true;
		if (got <= 0) {
			if (got == 0)
				BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
			return bio_end(bio, t, got, BIO_FLAGS_READ);
		}
		fill.off = 0;
		fill.len = (size_t)got;
	}
	if (fill.off == fill.len) {
		BIO_set_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY);
		return -1;
	}
	if (n > fill.len - fill.off)
		n = fill.len - fill.off;
	memcpy(bytes, fill.bytes + fill.off, n);
	fill.off += n;
	return (int)n;
}

static int bio_read(BIO *bio, char *bytes, int n)
{
	struct tls *t = BIO_get_data(bio);
	ssize_t got;

	BIO_clear_flags(bio, BIO_FLAGS_RWS | BIO_FLAGS_SHOULD_RETRY | BIO_FLAGS_IN_EOF);
	if (n <= 0)
		return 0;
	if (t->held)
		return (int)take_held(t, bytes, (size_t)n);
	if (t->bulk)
		return bio_read_bulk(bio, t, bytes, (size_t)n);
	got = transport_plain.recv(t->conn, bytes, (size_t)n);
	if (got == 0)
		BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
	return bio_end(bio, t, got, BIO_FLAGS_READ);
}

int tls_bio_push(struct tls *t)
{
	ssize_t sent;

	if (!t->late)
		return 0;
	sent = transport_plain.send(t->conn, buf_peek(t->late), buf_len(t->late));
	if (sent < 0)
		return -1;
	buf_consume(&t->late, (size_t)sent);
	errno = EAGAIN;
	return t->late ? -1 : 0;
}

/* As send(2), of bytes behind those that are late. */
static ssize_t send_behind(struct tls *t, const char *bytes, size_t n)
{
	size_t late = buf_len(t->late);
	static char all[TOGETHER]; /* on the stack it would be cleared each time (HARDEN) */
	ssize_t sent;

	if (late + n > sizeof all)
		return tls_bio_push(t) < 0 ? -1 : transport_plain.send(t->conn, bytes, n);
	memcpy(all, buf_peek(t->late), late);
	memcpy(all + late, bytes, n);
	sent = transport_plain.send(t->conn, all, late + n);
	if (sent < 0)
		return -1;
	buf_consume(&t->late, (size_t)sent < late ? (size_t)sent : late);
	if ((size_t)sent > late)
		return sent - (ssize_t)late;
	errno = EAGAIN;
	return -1;
}

static int bio_write(BIO *bio, const char *bytes, int n)
{
	struct tls *t = BIO_get_data(bio);
	size_t size = (size_t)n;
	ssize_t sent;

	BIO_clear_flags(bio, BIO_FLAGS_RWS | BIO_FLAGS_SHOULD_RETRY);
	if (n <= 0)
		return 0;
	if (t->busy && buf_len(t->late) + size <= LATE_MOST)
		sent = buf_append(&t->late, bytes, size) < 0 ? -1 : n;
	else if (t->late)
		sent = send_behind(t, bytes, size);
	else
		sent = transport_plain.send(t->conn, bytes, size);
	return bio_end(bio, t, sent, BIO_FLAGS_WRITE);
}

static long bio_ctrl(BIO *bio, int what, long n, void *p)
{
	(void)n;
	(void)p;
	if (what == BIO_CTRL_EOF)
		return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
	return what == BIO_CTRL_FLUSH || what == BIO_CTRL_DUP;
}

const BIO_METHOD *tls_bio_method(void)
{
	static BIO_METHOD *method;

	if (method)
		return method;
	method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "connection");
	if (!method)
		return NULL;
	BIO_meth_set_read(method, bio_read);
	BIO_meth_set_write(method, bio_write);
	BIO_meth_set_ctrl(method, bio_ctrl);
	return method;
}
