/* Reads a DNS answer (RFC 1035 4.1) that may be anything: bounds are checked, pointers only lead
 * back, and the time is linear in the packet for every record. */
#ifndef NET_DNS_ANSWER_H
#define NET_DNS_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	DNS_NAME_MAX = 255,                       /* bytes of a name on the wire */
	DNS_RDATA_MAX = 65535 + 2 * DNS_NAME_MAX, /* with its names written out */
};

struct dns_answer {
	const unsigned char *data; /* borrowed */
	size_t size, at;           /* private */
	unsigned left;             /* private: records of the answer section still to come */
	unsigned rcode;            /* ro */
	bool truncated;            /* ro */
};

struct dns_record {
	unsigned char name[DNS_NAME_MAX]; /* on the wire, without pointers */
	size_t name_size;
	uint16_t type, klass;
	uint32_t ttl; /* s */
	size_t size;
	unsigned char rdata[DNS_RDATA_MAX]; /* CNAME, NS, PTR, MX, SRV, SOA: without pointers */
};

/* Reads the head and passes over the questions. `data` stays the caller's. 0, or -1 with EBADMSG.
 */
int dns_answer_open(struct dns_answer *answer, const unsigned char *data, size_t size);

/* The next record of the answer section: 1, 0 at the end, -1 with EBADMSG. */
int dns_answer_next(struct dns_answer *answer, struct dns_record *record);

#endif
