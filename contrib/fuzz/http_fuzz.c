/* Fuzzes the HTTP parser: the first byte says where the input is split. What is seen must be the
 * same for the whole, for two parts and for single bytes: one digest of every event and body. What
 * http_plain.c takes for a plain request is one whole request for the parser, the same in all. */
#include "net/http_plain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct http_limits fuzz_limits = {200, 600, 12};

static uint64_t mixed(uint64_t hash, const void *bytes, size_t n)
{
	const unsigned char *at = bytes;

	while (n--)
		hash = (hash ^ *at++) * 1099511628211u;
	return hash;
}

struct reading {
	struct http_parser p;
	uint64_t hash;
	unsigned messages;
	bool refused;
};

static void take_body(struct reading *r)
{
	if (r->p.body)
		r->hash = mixed(r->hash, buf_peek(r->p.body), buf_len(r->p.body));
	buf_free(&r->p.body);
}

static void take_head(struct reading *r)
{
	const struct http_parser *p = &r->p;

	r->hash = mixed(r->hash, &p->length, sizeof p->length);
	if (p->target_len)
		r->hash = mixed(r->hash, p->text, p->target_len);
	for (unsigned i = 0; i < p->count; i++) {
		const struct http_field *f = &p->fields[i];

		if ((uint64_t)f->name + f->name_len > p->text_len ||
		    (uint64_t)f->value + f->value_len > p->text_len)
			abort();
		r->hash = mixed(r->hash, p->text + f->name, f->name_len);
		r->hash = mixed(r->hash, p->text + f->value, f->value_len);
	}
}

static void feed(struct reading *r, const uint8_t *data, size_t size)
{
	const char *bytes = (const char *)data;

	while (size && !r->refused) {
		bool in_head = r->p.stage == HTTP_IN_HEAD || r->p.stage == HTTP_AT_END;
		size_t used;
		enum http_event event = http_parser_run(&r->p, bytes, size, &used);

		if (used > size || (event == HTTP_EV_MORE && used != size))
			abort();
		bytes += used;
		size -= used;
		if (event == HTTP_EV_HEAD || (event == HTTP_EV_DONE && in_head))
			take_head(r);
		take_body(r);
		if (event == HTTP_EV_DONE)
			r->messages++;
		r->refused = event == HTTP_EV_BAD;
	}
}

/* Reads in parts of `step` bytes after the first `first`. */
static struct reading read_all(
    llhttp_type_t type, const uint8_t *data, size_t size, size_t first, size_t step)
{
	struct reading r = {.hash = 14695981039346656037u};

	http_parser_init(&r.p, type, &fuzz_limits);
	if (first > size)
		first = size;
	feed(&r, data, first);
	while (first < size) {
		size_t n = size - first < step ? size - first : step;

		feed(&r, data + first, n);
		first += n;
	}
	if (!r.refused)
		(void)http_parser_end(&r.p);
	http_parser_fini(&r.p);
	return r;
}

static void compare(const struct reading *a, const struct reading *b, const char *how)
{
	/* What came before a refusal may have been told, or not, by then. */
	if (a->messages == b->messages && a->refused == b->refused &&
	    (a->refused || a->hash == b->hash))
		return;
	fprintf(stderr, "fuzz: %s: %u messages, %s; whole: %u, %s\n", how, b->messages,
	    b->refused ? b->p.why : "fine", a->messages, a->refused ? a->p.why : "fine");
	abort();
}

static bool is_same(const struct http_head *a, const struct http_head *b)
{
	bool same = a->method == b->method && a->minor == b->minor && a->count == b->count &&
		    a->host == b->host && a->target_len == b->target_len &&
		    memcmp(a->text, b->text, a->target_len) == 0;

	for (unsigned i = 0; same && i < a->count; i++) {
		const struct http_field *f = &a->fields[i], *g = &b->fields[i];

		same = f->name_len == g->name_len && f->value_len == g->value_len &&
		       memcmp(a->text + f->name, b->text + g->name, f->name_len) == 0 &&
		       memcmp(a->text + f->value, b->text + g->value, f->value_len) == 0;
	}
	return same;
}

static void check_plain(const char *bytes, size_t n)
{
	struct http_field fields[HTTP_PLAIN_FIELDS];
	struct http_head plain, judged;
	struct http_parser p;
	size_t used;

	if (!http_plain_read(bytes, n, &fuzz_limits, fields, &plain))
		return;
	http_parser_init(&p, HTTP_REQUEST, &fuzz_limits);
	if (http_parser_run(&p, bytes, n, &used) != HTTP_EV_DONE || used != n || p.body ||
	    !p.persistent || p.expects || p.chunked || p.length) {
		fprintf(stderr, "fuzz: plain, but: %s\n", p.why ? p.why : "another message");
		abort();
	}
	judged = http_parser_head(&p);
	if (!is_same(&plain, &judged)) {
		fprintf(stderr, "fuzz: plain, but it says something else\n");
		abort();
	}
	http_parser_fini(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	check_plain((const char *)data + 1, size - 1);
	for (int i = 0; i < 2; i++) {
		llhttp_type_t type = i ? HTTP_RESPONSE : HTTP_REQUEST;
		struct reading whole = read_all(type, data + 1, size - 1, size - 1, 1);
		struct reading parts = read_all(type, data + 1, size - 1, data[0], size);
		struct reading single = read_all(type, data + 1, size - 1, 0, 1);

		compare(&whole, &parts, "two parts");
		compare(&whole, &single, "single bytes");
	}
	return 0;
}
