/* UDP and Unix datagram sockets: whole packets, no state. Who is told that one is readable watches
 * the descriptor (watch.h). */
#ifndef NET_DATAGRAM_H
#define NET_DATAGRAM_H

#include "net/addr.h"

#include <stddef.h>
#include <sys/types.h>

enum { DATAGRAM_MAX = 65536 }; /* no UDP packet is longer */

/* Non-blocking, close-on-exec. bound: at that address (IPv6 only for "::"), else only of its
 * family. fd, or -1 with errno. Caller owns it. */
int datagram_open(const struct addr *addr, bool bound);

/* Fixes the peer: 0, or -1 with errno. */
int datagram_connect(int fd, const struct addr *peer);

/* One packet into `data`; *from_r says whose it is. Its size, or -1 with errno: EAGAIN when there
 * is none, ECONNREFUSED when one that was sent found nobody. */
ssize_t datagram_receive(int fd, void *data, size_t size, struct addr *from_r);

/* Sends one packet, to `to` or (NULL) to the fixed peer. Its size, or -1 with errno: EAGAIN when
 * the kernel's buffer is full. */
ssize_t datagram_send(int fd, const void *data, size_t size, const struct addr *to);

#endif
