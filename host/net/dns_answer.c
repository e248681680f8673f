#include "net/dns_answer.h"

#include <errno.h>
#include <string.h>

enum { HEAD = 12, POINTER = 0xc0, RESPONSE = 0x80, TRUNCATED = 0x02 };
enum { NS = 2, CNAME = 5, SOA = 6, PTR = 12, MX = 15, SRV = 33 };

static unsigned get16(const unsigned char *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static int malformed(void)
{
	errno = EBADMSG;
	return -1;
}

/* The name at *at, which moves past it; `out` (or NULL) gets it without pointers. Its size, or 0.
 */
static size_t take_name(
    const struct dns_answer *a, size_t limit, size_t *at, unsigned char out[DNS_NAME_MAX])
{
	size_t from = *at, size = 0, bound = limit;
	bool jumped = false;

	for (;;) {
		unsigned n;

		if (from >= bound)
			return 0;
		n = a->data[from];
		if (n >= POINTER) {
			if (from + 2 > bound)
				return 0;
			n = get16(a->data + from) & 0x3fff;
			if (!jumped)
				*at = from + 2;
			if (n >= from) /* forward, or in a circle */
				return 0;
			bound = from; /* what is read next ends before this pointer: no circles */
			from = n;
			jumped = true;
			continue;
		}
		if (n >= 64 || from + 1 + n > bound || size + 1 + n > DNS_NAME_MAX)
			return 0;
		if (out)
			memcpy(out + size, a->data + from, 1 + n);
		size += 1 + n;
		from += 1 + n;
		if (n == 0)
			break;
	}
	if (!jumped)
		*at = from;
	return size;
}

int dns_answer_open(struct dns_answer *a, const unsigned char *data, size_t size)
{
	unsigned questions;

	memset(a, 0, sizeof *a);
	if (size < HEAD || !(data[2] & RESPONSE))
		return malformed();
	a->data = data;
	a->size = size;
	a->at = HEAD;
	a->rcode = data[3] & 0xf;
	a->truncated = (data[2] & TRUNCATED) != 0;
	a->left = get16(data + 6);
	questions = get16(data + 4);
	for (unsigned i = 0; i < questions; i++) {
		if (!take_name(a, size, &a->at, NULL) || size - a->at < 4)
			return malformed();
		a->at += 4;
	}
	return 0;
}

/* Copies `fixed` bytes, `names` names and `rest` bytes, which must be the whole of the data. */
static int take_names(struct dns_answer *a, struct dns_record *r, size_t end, const size_t shape[3])
{
	size_t at = a->at;

	r->size = 0;
	if (end - at < shape[0])
		return malformed();
	memcpy(r->rdata, a->data + at, shape[0]);
	r->size = shape[0];
	at += shape[0];
	for (size_t i = 0; i < shape[1]; i++) {
		size_t n = take_name(a, end, &at, r->rdata + r->size);

		if (n == 0)
			return malformed();
		r->size += n;
	}
	if (end - at != shape[2])
		return malformed();
	memcpy(r->rdata + r->size, a->data + at, shape[2]);
	r->size += shape[2];
	return 1;
}

static int take_data(struct dns_answer *a, struct dns_record *r, size_t size)
{
	static const size_t name[] = {0, 1, 0}, mx[] = {2, 1, 0}, srv[] = {6, 1, 0},
			    soa[] = {0, 2, 20};
	size_t end = a->at + size;
	int done = 1;

	switch (r->type) {
	case NS:
	case CNAME:
	case PTR: done = take_names(a, r, end, name); break;
	case MX: done = take_names(a, r, end, mx); break;
	case SRV: done = take_names(a, r, end, srv); break;
	case SOA: done = take_names(a, r, end, soa); break;
	default:
		memcpy(r->rdata, a->data + a->at, size);
		r->size = size;
		break;
	}
	a->at = end;
	return done;
}

int dns_answer_next(struct dns_answer *a, struct dns_record *r)
{
	const unsigned char *p;
	size_t size;

	if (a->left == 0)
		return 0;
	a->left--;
	r->name_size = take_name(a, a->size, &a->at, r->name);
	if (r->name_size == 0 || a->size - a->at < 10)
		return malformed();
	p = a->data + a->at;
	r->type = (uint16_t)get16(p);
	r->klass = (uint16_t)get16(p + 2);
	r->ttl = (uint32_t)get16(p + 4) << 16 | get16(p + 6);
	if (r->ttl & 0x80000000u) /* RFC 2181 8 */
		r->ttl = 0;
	size = get16(p + 8);
	a->at += 10;
	if (a->size - a->at < size)
		return malformed();
	return take_data(a, r, size);
}
