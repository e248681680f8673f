/* Names on c-ares: addresses (with /etc/hosts, the search list and RFC 6724's order) and raw
 * records. A question starts in the turn after the one in which it was asked, so its answer
 * never comes inside the call that asked.
 *
 * The system's settings (/etc/resolv.conf) are read again when the file has changed and no question
 * is under way. */
#ifndef NET_RESOLVER_H
#define NET_RESOLVER_H

#include "net/loop.h"

#include <ares.h>
#include <stdbool.h>
#include <stddef.h>

struct resolver;

/* What a channel is made with; 0 or NULL: the system's. */
struct resolver_opts {
	const char *servers;  /* "127.0.0.1:5353,[::1]:53"; borrowed for the call */
	const char *search;   /* domains with spaces between; borrowed for the call */
	unsigned timeout;     /* of a server's first try, in ms */
	unsigned tries;       /* of each server */
	int ndots;            /* fewer dots than this: the search list first; -1: the system's */
	bool never_elsewhere; /* no retry over TCP, what was cut stays cut */
};

/* The one answer to a question, from the loop, from resolver_cancel or from resolver_free; status
 * is c-ares'. */
typedef void resolver_addresses_fn(
    void *data, int status, const struct ares_addrinfo *list); /* list is borrowed */
typedef void resolver_records_fn(
    void *data, int status, const unsigned char *answer, size_t length); /* answer is borrowed */

/* NULL, and *status_r says why (ares_strerror). */
struct resolver *resolver_new(struct loop *loop, const struct resolver_opts *opts, int *status_r);

/* Ends every question with ARES_EDESTRUCTION; idempotent, and safe inside a callback. */
void resolver_free(struct resolver **resolver);

/* Addresses of a name in the order to try them; family AF_INET, AF_INET6 or AF_UNSPEC. An id, or 0
 * when memory is out. */
unsigned long resolver_addresses(
    struct resolver *resolver, const char *name, int family, resolver_addresses_fn *fn, void *data);

/* Records of a name as it stands (no search list); class and type are DNS's numbers. An id, or 0
 * when memory is out. */
unsigned long resolver_records(struct resolver *resolver, const char *name, int klass, int type,
    resolver_records_fn *fn, void *data);

/* The question's function is called with ARES_ECANCELLED, now; what comes later is dropped. false:
 * there is no such question any more. */
bool resolver_cancel(struct resolver *resolver, unsigned long id);

/* Questions without an answer yet. */
size_t resolver_pending(const struct resolver *resolver);

#endif
