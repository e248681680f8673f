/* Addresses in words and as the kernel wants them: TCP over IPv4 and IPv6, Unix paths, abstract
 * names. */
#ifndef NET_ADDR_H
#define NET_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

struct addr {
	socklen_t size;
	union {
		struct sockaddr any;
		struct sockaddr_storage room;
		struct sockaddr_un unix_;
	} sa;
};

enum { ADDR_TEXT = 110 };

/* "*" (all IPv4), an IPv4 or IPv6 literal (with %zone), a path that has a '/', "@abstract".
 * 0, or -1 with EINVAL (none of these), ENAMETOOLONG. */
int addr_parse(struct addr *addr, const char *text, unsigned port);

/* Bound but not yet listening TCP or Unix socket: non-blocking, close-on-exec, SO_REUSEADDR, v6
 * only. A Unix path that nobody listens on any more is replaced. fd, or -1 with errno. Caller owns
 * it. */
int addr_bind(const struct addr *addr);

/* Begins to connect a new socket: fd, or -1 with errno. Caller owns it. */
int addr_connect(const struct addr *addr);

/* The peer's (peer = true) or own address of a socket in words and its port; an unnamed Unix socket
 * is "". 0, or -1 with errno. `text_r` has room for ADDR_TEXT bytes. */
int addr_of(int fd, bool peer, char *text_r, unsigned *port_r);

/* The same for an address at hand; -1 for a family that is none of ours. */
int addr_format(const struct addr *addr, char *text_r, unsigned *port_r);

#endif
