#include "net/limits.h"

#include "base/clock.h"
#include "base/log.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { BUCKETS = 4096, SWEEP = 8 };

struct limits_peer {
	struct limits_peer *next, **link;
	uint64_t key[2];
	unsigned connections;
	double tokens, filled; /* the rate's bucket, and when it was last filled */
};

struct limits_net {
	uint8_t bytes[16];
	unsigned bits;
};

static struct limits_peer uncounted; /* an address that is not limited, or one too many */

static const char *const NAMES[] = {"max_connections", "max_connections_per_ip",
    "max_connection_rate_per_ip", "max_handshakes", "descriptors"};

const char *limits_name(enum limit limit)
{
	return NAMES[limit];
}

struct limits *limits_new(void)
{
	struct limits *l = calloc(1, sizeof *l);

	if (!l)
		return NULL;
	l->table = calloc(BUCKETS, sizeof *l->table);
	if (!l->table) {
		free(l);
		return NULL;
	}
	if (getrandom(&l->seed, sizeof l->seed, GRND_NONBLOCK) < 0)
		l->seed = (uint64_t)(uintptr_t)l;
	return l;
}

static void forget(struct limits *l, struct limits_peer *p)
{
	*p->link = p->next;
	if (p->next)
		p->next->link = p->link;
	l->n_peers--;
	free(p);
}

void limits_free(struct limits **limits)
{
	struct limits *l = *limits;

	if (!l)
		return;
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct limits_peer *p = l->table[i], *next; p; p = next) {
			next = p->next;
			free(p);
		}
	limits_exempt_none(l);
	free(l->table);
	free(l);
	*limits = NULL;
}

/* ---- addresses ---- */

/* As an IPv6 address; false for a Unix socket. */
static bool as_bytes(const struct sockaddr *address, uint8_t bytes[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	if (address->sa_family == AF_INET) {
		memcpy(bytes, mapped, sizeof mapped);
		memcpy(bytes + 12, &((const struct sockaddr_in *)address)->sin_addr, 4);
		return true;
	}
	if (address->sa_family != AF_INET6)
		return false;
	memcpy(bytes, &((const struct sockaddr_in6 *)address)->sin6_addr, 16);
	return true;
}

static bool is_mapped(const uint8_t bytes[16])
{
	return memcmp(bytes, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12) == 0;
}

static bool is_loopback(const uint8_t bytes[16])
{
	if (is_mapped(bytes))
		return bytes[12] == 127;
	return memcmp(bytes, &in6addr_loopback, 16) == 0;
}

static bool inside(const struct limits_net *net, const uint8_t bytes[16])
{
	unsigned whole = net->bits / 8, rest = net->bits % 8;

	if (memcmp(net->bytes, bytes, whole) != 0)
		return false;
	return rest == 0 || (uint8_t)((net->bytes[whole] ^ bytes[whole]) >> (8 - rest)) == 0;
}

static bool is_exempt(const struct limits *l, const uint8_t bytes[16])
{
	if (is_loopback(bytes))
		return true;
	for (size_t i = 0; i < l->n_exempt; i++)
		if (inside(&l->exempt[i], bytes))
			return true;
	return false;
}

static bool parse_cidr(const char *text, struct limits_net *net)
{
	char address[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : strlen(text);
	unsigned most = 128, base = 0;
	unsigned long bits;
	char *end;

	if (n >= sizeof address)
		return false;
	memcpy(address, text, n);
	address[n] = '\0';
	if (inet_pton(AF_INET6, address, net->bytes) != 1) {
		memcpy(net->bytes, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
		if (inet_pton(AF_INET, address, net->bytes + 12) != 1)
			return false;
		most = 32;
		base = 96;
	}
	net->bits = base + most;
	if (!slash)
		return true;
	if (slash[1] < '0' || slash[1] > '9')
		return false;
	bits = strtoul(slash + 1, &end, 10);
	if (*end != '\0' || bits > most)
		return false;
	net->bits = base + (unsigned)bits;
	return true;
}

bool limits_exempt(struct limits *l, const char *cidr)
{
	struct limits_net net, *more;

	memset(&net, 0, sizeof net);
	if (!parse_cidr(cidr, &net))
		return false;
	more = realloc(l->exempt, (l->n_exempt + 1) * sizeof *more);
	if (!more)
		return false;
	l->exempt = more;
	more[l->n_exempt++] = net;
	return true;
}

void limits_exempt_none(struct limits *l)
{
	free(l->exempt);
	l->exempt = NULL;
	l->n_exempt = 0;
}

/* ---- peers ---- */

static double burst(const struct limits *l)
{
	return l->max_rate * 2 > 1 ? l->max_rate * 2 : 1;
}

static void fill(const struct limits *l, struct limits_peer *p, double now)
{
	double most = burst(l);

	p->tokens += (now - p->filled) * l->max_rate;
	if (p->tokens > most)
		p->tokens = most;
	p->filled = now;
}

void limits_changed(struct limits *l)
{
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct limits_peer *p = l->table[i]; p; p = p->next)
			p->tokens = burst(l);
}

static size_t bucket_of(const struct limits *l, const uint64_t key[2])
{
	uint64_t h = (key[0] ^ l->seed) * UINT64_C(0x9e3779b97f4a7c15);

	h = (h ^ (h >> 32) ^ key[1]) * UINT64_C(0xd6e8feb86659fd93);
	return (size_t)((h ^ (h >> 29)) % BUCKETS);
}

/* Looks at a few buckets each time for peers that need no memory any more. */
static void sweep(struct limits *l, double now)
{
	for (int i = 0; i < SWEEP; i++) {
		struct limits_peer *p = l->table[l->sweep++ % BUCKETS], *next;

		for (; p; p = next) {
			next = p->next;
			if (p->connections)
				continue;
			fill(l, p, now);
			if (p->tokens >= burst(l))
				forget(l, p);
		}
	}
}

static struct limits_peer *find(struct limits *l, const uint8_t bytes[16], double now)
{
	uint64_t key[2];
	struct limits_peer **head, *p;

	memcpy(key, bytes, sizeof key);
	if (!is_mapped(bytes))
		key[1] = 0; /* a /64 is one customer */
	head = &l->table[bucket_of(l, key)];
	for (p = *head; p; p = p->next)
		if (p->key[0] == key[0] && p->key[1] == key[1])
			return p;
	if (l->n_peers >= LIMITS_PEERS)
		return NULL;
	p = calloc(1, sizeof *p);
	if (!p)
		return NULL;
	memcpy(p->key, key, sizeof key);
	p->tokens = burst(l);
	p->filled = now;
	p->next = *head;
	if (p->next)
		p->next->link = &p->next;
	p->link = head;
	*head = p;
	l->n_peers++;
	return p;
}

static bool refused(struct limits *l, struct limits_peer *p, double now, enum limit *limit_r)
{
	if (l->max_per_ip && p->connections >= l->max_per_ip) {
		*limit_r = LIMIT_PER_IP;
		return true;
	}
	if (l->max_rate <= 0)
		return false;
	fill(l, p, now);
	if (p->tokens < 1) {
		*limit_r = LIMIT_RATE;
		return true;
	}
	p->tokens -= 1;
	return false;
}

bool limits_enter(struct limits *l, const struct sockaddr *address, double now,
    struct limits_peer **peer_r, enum limit *limit_r)
{
	uint8_t bytes[16];
	struct limits_peer *p = &uncounted;

	if (l->max_connections && l->connections >= l->max_connections) {
		*limit_r = LIMIT_CONNECTIONS;
		return false;
	}
	if ((l->max_per_ip || l->max_rate > 0) && as_bytes(address, bytes) &&
	    !is_exempt(l, bytes)) {
		sweep(l, now);
		p = find(l, bytes, now);
		if (!p)
			p = &uncounted;
		else if (refused(l, p, now, limit_r))
			return false;
	}
	p->connections++;
	l->connections++;
	*peer_r = p;
	return true;
}

void limits_leave(struct limits *l, struct limits_peer **peer)
{
	if (!*peer)
		return;
	(*peer)->connections--;
	l->connections--;
	*peer = NULL;
}

bool limits_hit(struct limits *l, enum limit limit, double now)
{
	struct limits_hit *h = &l->hit[limit];
	bool due = now - h->last >= 1 || now < h->last;

	h->hits++;
	if (due)
		h->last = now;
	return due;
}

void limits_refused(struct limits *l, enum limit limit)
{
	if (limits_hit(l, limit, clock_realtime()))
		log_warn("%s reached, newcomers are turned away", limits_name(limit));
}

/* ---- handshakes ---- */

bool limits_handshakes_full(const struct limits *l)
{
	return l->max_handshakes && l->handshakes >= l->max_handshakes;
}

bool limits_handshake_enter(struct limits *l)
{
	if (limits_handshakes_full(l))
		return false;
	l->handshakes++;
	return true;
}

void limits_handshake_leave(struct limits *l)
{
	l->handshakes--;
}
