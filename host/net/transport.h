/* How a connection's bytes move: plain sockets here, TLS in tls.h. The connection knows no more
 * than this. */
#ifndef NET_TRANSPORT_H
#define NET_TRANSPORT_H

#include <stdbool.h>
#include <sys/types.h>

struct conn;

struct transport {
	const char *name;
	/* As recv(2) and send(2) on a non-blocking socket: bytes, 0 at the end of the stream, -1
	 * with errno. */
	ssize_t (*recv)(struct conn *conn, void *bytes, size_t n);
	ssize_t (*send)(struct conn *conn, const void *bytes, size_t n);
	/* Discards input that nobody will read, so that closing does not reset the connection. */
	void (*discard)(struct conn *conn);
	/* One step of the handshake: 0 when it is done; -1 with EAGAIN (conn->wants_write says what
	 * it waits for), or with an error. NULL: there is none. */
	int (*handshake)(struct conn *conn);
	/* Sends what the end of the handshake has left to go with the first data; NULL: there is
	 * never any. If the kernel takes no more, conn->wants_write is set, and recv goes on with
	 * it. */
	void (*flush)(struct conn *conn);
	/* Words for an errno of recv, send or handshake, static storage; NULL: net_strerror. */
	const char *(*why)(struct conn *conn, int error);
	/* Tells the peer that nothing more comes; NULL: nothing to tell. */
	void (*bye)(struct conn *conn);
	/* Frees what the transport keeps for the connection; NULL if nothing. */
	void (*fini)(struct conn *conn);
	bool whole; /* recv wants room for LOOP_BUFFER */
};

/* A connection says by a byte which is its own. */
enum transport_kind { TRANSPORT_PLAIN, TRANSPORT_PIPE, TRANSPORT_TLS };
extern const struct transport *const transports[];

extern const struct transport transport_plain;

/* One end of a pipe, or anything else with read(2) and write(2): what a child process has as its
 * standard streams. The end that only writes sees the reader go as the end of its input. */
extern const struct transport transport_pipe;

/* tls.h */
extern const struct transport transport_tls;

#endif
