#include "net/http_parts.h"

#include "net/http_target.h"

#include <string.h>
#include <strings.h>

enum {
	EMPTY_LINES = 4, /* before a request; RFC 9112 2.2 asks for one */
};

/* ---- the complete head ---- */

struct seen {
	unsigned hosts, codings;
};

static int look_at(struct http_parser *p, const struct http_field *f, struct seen *seen)
{
	const char *value = p->text + f->value;

	if (http_field_is(p, f, "host", 4)) {
		seen->hosts++;
		p->host = (uint16_t)(f - p->fields);
		if (!http_target_is_host(value, f->value_len))
			return http_refuse(p, 400, "bad host");
	} else if (http_field_is(p, f, "transfer-encoding", 17)) {
		seen->codings++;
		if (f->value_len != 7 || strncasecmp(value, "chunked", 7) != 0)
			return http_refuse(p, 501, "unknown transfer coding");
	} else if (http_field_is(p, f, "expect", 6)) {
		if (f->value_len != 12 || strncasecmp(value, "100-continue", 12) != 0)
			return http_refuse(p, 417, "unknown expectation");
		p->expects = p->ll.http_minor == 1;
	}
	return 0;
}

int http_check_request(struct http_parser *p)
{
	struct seen seen = {0, 0};

	if (p->ll.http_major != 1 || p->ll.http_minor > 1)
		return http_refuse(p, p->ll.http_major ? 505 : 400, "unknown version");
	for (unsigned i = 0; i < p->count; i++)
		if (look_at(p, &p->fields[i], &seen) < 0)
			return -1;
	if (seen.hosts > 1 || (seen.hosts == 0 && p->ll.http_minor == 1))
		return http_refuse(p, 400, seen.hosts ? "several hosts" : "no host");
	if (seen.codings > 1 || (seen.codings && p->ll.http_minor == 0))
		return http_refuse(p, 400, "bad transfer coding");
	if (memchr(p->text, '#', p->target_len) ||
	    (p->target_len == 1 && p->text[0] == '*' && p->ll.method != HTTP_OPTIONS))
		return http_refuse(p, 400, "bad target");
	return 0;
}

/* ---- lines ---- */

/* The lengths of a line that is not complete, too. */
static int check_sizes(struct http_parser *p, size_t added, bool ended)
{
	uint32_t end = ended ? 2 : 0;

	if (p->lines == 0)
		return p->line > p->limits.line + (ended ? end : 1)
			   ? http_refuse(p, 414, "first line too long")
			   : 0;
	p->head += (uint32_t)added;
	/* The empty line does not count, nor does its begin. */
	if (p->head > p->limits.header + (p->line <= 2 ? p->line : 0))
		return http_refuse(p, 431, "header too large");
	return 0;
}

static int end_line(struct http_parser *p)
{
	uint32_t length = p->line - 2;

	p->line = 0;
	p->last = 0;
	if (length) {
		p->lines++;
		return 0;
	}
	if (p->lines) {
		p->guarded = true;
		return 0;
	}
	p->head += 1; /* empty lines before the first */
	return p->head > EMPTY_LINES ? http_refuse(p, 400, "empty lines") : 0;
}

/* The begin of a line, or more of the first one. */
static int check_start(struct http_parser *p, const char *from, size_t n, bool starts)
{
	if (p->lines) {
		if (starts && (*from == ' ' || *from == '\t'))
			return http_refuse(p, 400, "folded line");
		return starts && *from == ':' ? http_refuse(p, 400, "no header name") : 0;
	}
	if (starts && *from != '\r')
		p->head = 0;
	for (const char *end = from + n; p->ll.type == HTTP_REQUEST && from < end; from++) {
		from = memchr(from, ' ', (size_t)(end - from));
		if (!from)
			break;
		if (++p->spaces > 2)
			return http_refuse(p, 400, "spaces in the first line");
	}
	return 0;
}

size_t http_guard(struct http_parser *p, const char *bytes, size_t n)
{
	size_t done = 0;

	while (done < n && !p->guarded) {
		const char *from = bytes + done, *end = memchr(from, '\n', n - done);
		size_t length = end ? (size_t)(end - from) + 1 : n - done;

		bool starts = p->line == 0;

		p->line += (uint32_t)length;
		if (check_sizes(p, length, end != NULL) < 0 ||
		    check_start(p, from, length, starts) < 0)
			break;
		if (!end) {
			p->last = from[length - 1];
			return n;
		}
		if ((length > 1 ? end[-1] : p->last) != '\r') {
			http_refuse(p, 400, "line without CR");
			break;
		}
		done += length;
		if (end_line(p) < 0)
			break;
	}
	return done;
}
