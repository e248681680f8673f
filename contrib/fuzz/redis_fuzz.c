/* Fuzzes the reader of Redis' replies: the first byte says where the input is split. The whole, two
 * parts and single bytes must give the same values, and never more than the limits allow. */
#include "net/resp.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BYTES = 2000, VALUES = 200 };

struct reading {
	struct resp resp;
	uint64_t hash;
	unsigned replies;
	bool broken;
};

static uint64_t mixed(uint64_t hash, uint64_t number)
{
	for (int i = 0; i < 8; i++, number >>= 8)
		hash = (hash ^ (number & 255)) * 1099511628211u;
	return hash;
}

/* Returns how many values there are. */
static size_t walk(struct reading *r, const struct resp_value *v, int depth)
{
	size_t count = 1;

	if (!v || depth > 16)
		abort();
	r->hash = mixed(r->hash, v->type);
	r->hash = mixed(r->hash, v->type == RESP_INTEGER ? (uint64_t)v->number : v->len);
	if (v->type == RESP_STRING || v->type == RESP_ERROR) {
		for (size_t i = 0; i < v->len; i++)
			r->hash = mixed(r->hash, (unsigned char)v->text[i]);
		if (v->text[v->len])
			abort();
	}
	for (size_t i = 0; v->type == RESP_ARRAY && i < v->len; i++)
		count += walk(r, v->items[i], depth + 1);
	return count;
}

static void feed(struct reading *r, const uint8_t *data, size_t size)
{
	struct resp_value *value;
	int got;

	if (r->broken || resp_feed(&r->resp, (const char *)data, size) < 0) {
		r->broken = true;
		return;
	}
	while ((got = resp_next(&r->resp, &value)) > 0) {
		if (walk(r, value, 0) > VALUES)
			abort();
		r->replies++;
		resp_value_free(&value);
	}
	r->broken = got < 0;
	if (r->broken && !r->resp.why)
		abort();
}

/* Reads in parts of `step` bytes after the first `first`. */
static struct reading read_all(const uint8_t *data, size_t size, size_t first, size_t step)
{
	struct reading r = {.hash = 14695981039346656037u};

	if (resp_init(&r.resp, BYTES, VALUES) < 0)
		abort();
	if (first > size)
		first = size;
	feed(&r, data, first);
	while (first < size) {
		size_t n = size - first < step ? size - first : step;

		feed(&r, data + first, n);
		first += n;
	}
	resp_fini(&r.resp);
	return r;
}

static void compare(const struct reading *a, const struct reading *b, const char *how)
{
	/* A part that is too long is refused when it has come, which may be earlier or later. */
	if (a->broken || b->broken || (a->replies == b->replies && a->hash == b->hash))
		return;
	fprintf(stderr, "fuzz: %s: %u replies, whole: %u\n", how, b->replies, a->replies);
	abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reading whole, parts, single;

	if (!size)
		return 0;
	whole = read_all(data + 1, size - 1, size - 1, 1);
	parts = read_all(data + 1, size - 1, data[0], size);
	single = read_all(data + 1, size - 1, 0, 1);
	compare(&whole, &parts, "two parts");
	compare(&whole, &single, "single bytes");
	return 0;
}
