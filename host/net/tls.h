/* TLS as a transport (transport.h): OpenSSL between the loop's buffers and the connection's socket.
 *
 * Input: one recv(2) a turn into a buffer that all connections share, then SSL_read until that is
 * used up; so nothing waits inside OpenSSL that the kernel would not announce, except what
 * conn->more announces. Output: SSL_write straight to send(2), no BIO buffer. The records of a
 * handshake's step leave with one send, and those of its last step (a server's two tickets, a
 * client's Finished) with the first data, if there is any in the same turn: that saves 7 of 16
 * system calls of a handshake, and two packets. A connection pays for a struct tls and its SSL
 * object; plain ones pay nothing. */
#ifndef NET_TLS_H
#define NET_TLS_H

#include "net/conn.h"
#include "net/tls_ctx.h"

#include <openssl/ssl.h>

enum { TLS_ERRORS = 8 }; /* verification errors kept for a connection */

struct tls {
	struct conn_secret secret; /* private */
	SSL *ssl;                  /* ro */
	struct tls_ctx *ctx;       /* ro: holds; that of the peer's name once it has told one */
	struct conn *conn;         /* ro */
	struct buf *held;          /* private: records that OpenSSL has not asked for yet */
	struct buf *late;          /* private: records of the handshake that are still to be sent */
	const char *why;           /* private: words for the last TLS error, static storage */
	int error;                 /* private: errno of the last socket call, 0 = none */
	int end;          /* private: what recv returns next: 0 nothing, else errno; -1 the end */
	bool done;        /* ro: the handshake is over */
	bool bulk;        /* private: SSL_read runs over the shared buffer */
	bool dead;        /* private: OpenSSL wants no further call */
	bool busy;        /* private: in OpenSSL's handshake, which calls back */
	bool orphan;      /* private: the connection went meanwhile; freed behind the handshake */
	uint8_t steps;    /* private: messages of handshakes after the first, without any data */
	uint8_t n_errors; /* ro */
	struct {
		uint8_t depth;
		uint16_t code;
	} errors[TLS_ERRORS]; /* ro: X509_V_ERR_… */
};

/* Begins TLS on a connection, see conn_secure_take. `name`: for SNI as a client, may be NULL. 0; -1
 * with errno, nothing changed. */
int tls_begin(struct conn *conn, struct tls_ctx *ctx, const char *name);

/* The TLS of a connection, also before its handshake is over; NULL for plain ones. */
struct tls *tls_of(const struct conn *conn);

/* For tls_ctx.c: the struct tls behind an SSL object; OpenSSL's info callback. */
struct tls *tls_from_ssl(const SSL *ssl);
void tls_on_info(const SSL *ssl, int where, int ret);

#endif
