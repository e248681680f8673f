#include "net/http_parser.h"

#include "net/http_parts.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	TEXT_FIRST = 1024, /* first sizes of the head's blocks */
	FIELDS_FIRST = 16,
	TEXT_KEPT = 4096, /* a block up to this size is kept for the next message */
	OVERHEAD = 16384, /* bytes of chunk heads, extensions and trailers beyond 8 a byte */
};

/* The head's blocks of the last message: parsers at rest hold none. */
static struct {
	char *text;
	struct http_field *fields;
	uint32_t text_cap;
	uint16_t capacity;
} spare;

int http_refuse(struct http_parser *p, unsigned status, const char *why)
{
	if (p->stage != HTTP_REFUSED) {
		p->stage = HTTP_REFUSED;
		p->status = (uint16_t)status;
		p->why = why;
	}
	return -1;
}

/* ---- the head's storage ---- */

static void take_spare(struct http_parser *p)
{
	if (p->text || p->fields)
		return;
	p->text = spare.text;
	p->text_cap = spare.text_cap;
	p->fields = spare.fields;
	p->capacity = spare.capacity;
	memset(&spare, 0, sizeof spare);
}

static void release_head(struct http_parser *p)
{
	if (!spare.text && !spare.fields && p->text_cap <= TEXT_KEPT &&
	    p->capacity <= 4 * FIELDS_FIRST) {
		spare.text = p->text;
		spare.text_cap = p->text_cap;
		spare.fields = p->fields;
		spare.capacity = p->capacity;
	} else {
		free(p->text);
		free(p->fields);
	}
	p->text = NULL;
	p->fields = NULL;
	p->text_len = p->text_cap = p->target_len = 0;
	p->count = p->capacity = 0;
	p->has_head = false;
}

static int add_text(struct http_parser *p, const char *at, size_t n)
{
	take_spare(p);
	if (n > p->text_cap - p->text_len) {
		size_t cap = p->text_cap ? p->text_cap : TEXT_FIRST;
		char *bigger;

		while (cap < p->text_len + n)
			cap *= 2;
		bigger = realloc(p->text, cap);
		if (!bigger)
			return http_refuse(p, 503, "out of memory");
		p->text = bigger;
		p->text_cap = (uint32_t)cap;
	}
	memcpy(p->text + p->text_len, at, n);
	p->text_len += (uint32_t)n;
	return 0;
}

static int add_field(struct http_parser *p)
{
	if (p->count >= p->limits.headers)
		return http_refuse(p, 431, "too many header lines");
	if (p->count == p->capacity) {
		size_t cap = p->capacity ? 2u * p->capacity : FIELDS_FIRST;
		struct http_field *bigger = realloc(p->fields, cap * sizeof *bigger);

		if (!bigger || cap > UINT16_MAX) {
			p->fields = bigger ? bigger : p->fields;
			return http_refuse(p, 503, "out of memory");
		}
		p->fields = bigger;
		p->capacity = (uint16_t)cap;
	}
	p->fields[p->count] = (struct http_field){.name = p->text_len};
	p->count++;
	return 0;
}

/* ---- llhttp's callbacks ---- */

static struct http_parser *of(llhttp_t *ll)
{
	return (struct http_parser *)ll;
}

/* The target of a request, the reason of a response. */
static int on_first(llhttp_t *ll, const char *at, size_t n)
{
	struct http_parser *p = of(ll);

	p->target_len += (uint32_t)n;
	return add_text(p, at, n);
}

/* Trailers may not change what the head said: they are only checked. */
static int on_name(llhttp_t *ll, const char *at, size_t n)
{
	struct http_parser *p = of(ll);

	if (p->has_head)
		return 0;
	if (!p->count || p->in_value) {
		take_spare(p);
		if (add_field(p) < 0)
			return -1;
		p->in_value = false;
	}
	if (add_text(p, at, n) < 0)
		return -1;
	p->fields[p->count - 1].name_len += (uint32_t)n;
	return 0;
}

static int on_value(llhttp_t *ll, const char *at, size_t n)
{
	struct http_parser *p = of(ll);
	struct http_field *f;

	if (p->has_head || !p->count)
		return 0;
	f = &p->fields[p->count - 1];
	if (!p->in_value)
		f->value = p->text_len;
	p->in_value = true;
	if (add_text(p, at, n) < 0)
		return -1;
	f->value_len += (uint32_t)n;
	return 0;
}

static int on_value_complete(llhttp_t *ll)
{
	struct http_parser *p = of(ll);
	struct http_field *f;

	if (p->has_head || !p->count)
		return 0;
	f = &p->fields[p->count - 1];
	if (!p->in_value)
		f->value = p->text_len;
	p->in_value = true;
	while (f->value_len && strchr(" \t", p->text[f->value + f->value_len - 1]))
		f->value_len--;
	return 0;
}

static int on_body(llhttp_t *ll, const char *at, size_t n)
{
	struct http_parser *p = of(ll);

	p->payload += n;
	if (p->body_max && buf_len(p->body) + n > p->body_max)
		return http_refuse(p, 413, "body too large");
	if (buf_append(&p->body, at, n) < 0)
		return http_refuse(p, 503, "out of memory");
	return 0;
}

/* Stops behind the last chunk: trailers are lines, and looked at as such. */
static int on_chunk_header(llhttp_t *ll)
{
	struct http_parser *p = of(ll);

	if (ll->content_length)
		return 0;
	p->trailing = true;
	p->guarded = false;
	p->line = p->head = 0;
	p->lines = 1;
	return HPE_PAUSED;
}

static int on_message_complete(llhttp_t *ll)
{
	of(ll)->complete = true;
	return HPE_PAUSED;
}

/* ---- the complete head ---- */

bool http_field_is(
    const struct http_parser *p, const struct http_field *f, const char *name, size_t n)
{
	return f->name_len == n && strncasecmp(p->text + f->name, name, n) == 0;
}

const struct http_field *http_parser_find(const struct http_parser *p, const char *name, size_t n)
{
	for (unsigned i = 0; i < p->count; i++)
		if (http_field_is(p, &p->fields[i], name, n))
			return &p->fields[i];
	return NULL;
}

/* RFC 9112 6.3: such answers have no body, whatever their headers say. */
static bool never_has_body(const llhttp_t *ll)
{
	return ll->type == HTTP_RESPONSE &&
	       (ll->status_code / 100 == 1 || ll->status_code == 204 || ll->status_code == 304);
}

static int on_headers_complete(llhttp_t *ll)
{
	struct http_parser *p = of(ll);
	unsigned flags = ll->flags;
	bool bodyless = p->skip_body || never_has_body(ll);

	if ((flags & F_TRANSFER_ENCODING) && (flags & F_CONTENT_LENGTH))
		return http_refuse(p, 400, "length and transfer coding");
	if (ll->type == HTTP_REQUEST && http_check_request(p) < 0)
		return -1;
	p->has_head = true;
	p->chunked = (flags & F_CHUNKED) != 0;
	p->length = (flags & F_CONTENT_LENGTH) ? ll->content_length : 0;
	p->persistent = ll->http_minor >= 1 ? !(flags & F_CONNECTION_CLOSE)
					    : (flags & F_CONNECTION_KEEP_ALIVE) != 0;
	if (ll->type == HTTP_RESPONSE)
		p->until_end = llhttp_message_needs_eof(ll) && !bodyless;
	ll->upgrade = 0; /* who takes the connection over also takes what follows */
	return bodyless ? 1 : 0;
}

static const llhttp_settings_t *settings(void)
{
	static llhttp_settings_t s;

	if (!s.on_url) {
		llhttp_settings_init(&s);
		s.on_url = on_first;
		s.on_status = on_first;
		s.on_header_field = on_name;
		s.on_header_value = on_value;
		s.on_header_value_complete = on_value_complete;
		s.on_headers_complete = on_headers_complete;
		s.on_body = on_body;
		s.on_chunk_header = on_chunk_header;
		s.on_message_complete = on_message_complete;
	}
	return &s;
}

/* ---- running ---- */

void http_parser_forget(struct http_parser *p)
{
	if (p->stage == HTTP_AT_END)
		release_head(p);
}

static void begin(struct http_parser *p)
{
	llhttp_reset(&p->ll);
	release_head(p);
	buf_free(&p->body);
	p->length = p->raw = p->payload = 0;
	p->line = p->lines = p->head = 0;
	p->last = 0;
	p->spaces = 0;
	p->guarded = p->complete = p->in_value = p->trailing = false;
	p->chunked = p->until_end = p->expects = false;
	p->stage = HTTP_IN_HEAD;
}

void http_parser_init(struct http_parser *p, llhttp_type_t type, const struct http_limits *limits)
{
	memset(p, 0, sizeof *p);
	llhttp_init(&p->ll, type, settings());
	p->limits = *limits;
	p->persistent = true;
}

void http_parser_fini(struct http_parser *p)
{
	free(p->text);
	free(p->fields);
	p->text = NULL;
	p->fields = NULL;
	p->text_len = p->text_cap = 0;
	p->count = p->capacity = 0;
	buf_free(&p->body);
	p->stage = HTTP_REFUSED;
}

/* RFC 9110 15.6.2: a method that llhttp does not know. Judged by the byte at which it is none of
 * those, so that it is no matter how the input is split; a mere begin of a known one ("GE") stays
 * 400. */
static unsigned fault_status(const struct http_parser *p, const char *end)
{
	const char *at = llhttp_get_error_pos(&p->ll);

	if (llhttp_get_errno(&p->ll) != HPE_INVALID_METHOD || !at || at >= end || !*at)
		return 400;
	return (*at >= 'A' && *at <= 'Z') || (*at >= 'a' && *at <= 'z') ||
		       strchr("0123456789!#$%&'*+-.^_`|~", *at)
		   ? 501
		   : 400;
}

/* Gives bytes to llhttp; returns how many it used. */
static size_t execute(struct http_parser *p, const char *bytes, size_t n)
{
	llhttp_errno_t error = llhttp_execute(&p->ll, bytes, n);
	const char *at;

	if (error == HPE_OK)
		return n;
	if (error == HPE_PAUSED) {
		at = llhttp_get_error_pos(&p->ll);
		llhttp_resume(&p->ll);
		return at ? (size_t)(at - bytes) : n;
	}
	http_refuse(p, fault_status(p, bytes + n), llhttp_get_error_reason(&p->ll));
	return n;
}

static enum http_event run_head(struct http_parser *p, const char *bytes, size_t n, size_t *used_r)
{
	size_t head = http_guard(p, bytes, n);

	*used_r = head;
	if (p->stage == HTTP_REFUSED)
		return HTTP_EV_BAD;
	execute(p, bytes, head);
	if (p->stage == HTTP_REFUSED)
		return HTTP_EV_BAD;
	if (!p->guarded)
		return HTTP_EV_MORE;
	if (!p->has_head) {
		http_refuse(p, 400, "bad head");
		return HTTP_EV_BAD;
	}
	p->stage = p->complete ? HTTP_AT_END : HTTP_IN_BODY;
	return p->complete ? HTTP_EV_DONE : HTTP_EV_HEAD;
}

static enum http_event run_body(struct http_parser *p, const char *bytes, size_t n, size_t *used_r)
{
	size_t used = p->trailing ? 0 : execute(p, bytes, n);

	p->raw += used;
	if (p->trailing && used < n && p->stage != HTTP_REFUSED) {
		size_t lines = http_guard(p, bytes + used, n - used);

		if (p->stage != HTTP_REFUSED)
			execute(p, bytes + used, lines);
		if (p->guarded && !p->complete)
			http_refuse(p, 400, "bad trailers");
		used += lines;
	}
	*used_r = used;
	if (p->stage == HTTP_REFUSED)
		return HTTP_EV_BAD;
	if (p->raw - p->payload > OVERHEAD + 8 * p->payload) {
		http_refuse(p, 400, "chunks of nothing");
		return HTTP_EV_BAD;
	}
	if (p->complete) {
		p->stage = HTTP_AT_END;
		return HTTP_EV_DONE;
	}
	return p->body ? HTTP_EV_BODY : HTTP_EV_MORE;
}

enum http_event http_parser_run(struct http_parser *p, const char *bytes, size_t n, size_t *used_r)
{
	*used_r = 0;
	if (p->stage == HTTP_REFUSED)
		return HTTP_EV_BAD;
	if (!n)
		return HTTP_EV_MORE;
	if (p->stage == HTTP_AT_END)
		begin(p);
	if (p->stage == HTTP_IN_HEAD)
		return run_head(p, bytes, n, used_r);
	return run_body(p, bytes, n, used_r);
}

enum http_event http_parser_end(struct http_parser *p)
{
	if (p->stage == HTTP_REFUSED)
		return HTTP_EV_BAD;
	if (!http_parser_begun(p))
		return HTTP_EV_MORE;
	if (p->stage == HTTP_IN_BODY && p->until_end) {
		p->stage = HTTP_AT_END;
		return HTTP_EV_DONE;
	}
	http_refuse(p, 400, "unexpected end");
	return HTTP_EV_BAD;
}

bool http_parser_begun(const struct http_parser *p)
{
	return p->stage == HTTP_IN_BODY || (p->stage == HTTP_IN_HEAD && (p->lines || p->line));
}
