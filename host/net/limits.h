/* Limits on accepted connections: how many in all, how many and how often from one address, how
 * many in a TLS handshake at one time.
 *
 * An IPv4 address counts alone, an IPv6 address by its /64. Loopback, Unix sockets, class admin and
 * the networks of limits_exempt are not limited. Entries exist while they have connections or a
 * bucket that is not full; there are at most LIMITS_PEERS of them, then unknown addresses are let
 * in uncounted. */
#ifndef NET_LIMITS_H
#define NET_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum { LIMITS_PEERS = 65536 };

enum limit {
	LIMIT_CONNECTIONS,
	LIMIT_PER_IP,
	LIMIT_RATE,
	LIMIT_HANDSHAKES,
	LIMIT_DESCRIPTORS,
	LIMIT_COUNT
};

struct limits_peer;

struct limits_hit {
	uint64_t hits;
	double last; /* realtime of the last; 0 = never */
};

struct limits {
	/* written by the binding; 0 = no limit */
	size_t max_connections;
	unsigned max_per_ip;
	double max_rate; /* new connections per second and address; a burst may be twice that */
	size_t max_handshakes;

	size_t connections;                 /* ro: counted ones that are open */
	size_t handshakes;                  /* ro: counted ones under way */
	struct limits_hit hit[LIMIT_COUNT]; /* ro */

	/* private */
	struct limits_peer **table;
	size_t n_peers;
	struct limits_net *exempt;
	size_t n_exempt;
	uint64_t seed;
	unsigned sweep;
};

/* NULL when memory is out. */
struct limits *limits_new(void);
void limits_free(struct limits **limits);

/* Adds "192.0.2.0/24", "2001:db8::/32" or a single address to the exempt ones; false if it is none.
 */
bool limits_exempt(struct limits *limits, const char *cidr);
void limits_exempt_none(struct limits *limits);

/* After max_rate was written: everybody begins with a full bucket. */
void limits_changed(struct limits *limits);

/* Whether a newcomer from `address` may stay. true: counted, *peer_r is for limits_leave.
 * false: *limit_r says which limit refused it, and that one's hit is counted. */
bool limits_enter(struct limits *limits, const struct sockaddr *address, double now,
    struct limits_peer **peer_r, enum limit *limit_r);

/* A connection ended; nulls *peer. NULL is not counted. */
void limits_leave(struct limits *limits, struct limits_peer **peer);

/* A handshake of an accepted connection begins: true if there is room for one more, which is
 * counted then and is for limits_handshake_leave. */
bool limits_handshake_enter(struct limits *limits);
void limits_handshake_leave(struct limits *limits);

/* Whether limits_handshake_enter would refuse one now. */
bool limits_handshakes_full(const struct limits *limits);

/* Counts a hit; true if none was counted in the last second (then a log line is due). */
bool limits_hit(struct limits *limits, enum limit limit, double now);

/* A newcomer was refused for this limit: counts it, and says so once a second. */
void limits_refused(struct limits *limits, enum limit limit);

/* "max_connections", "max_connections_per_ip", "max_connection_rate_per_ip", "max_handshakes",
 * "descriptors". */
const char *limits_name(enum limit limit);

#endif
