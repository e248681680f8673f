#include "net/http_plain.h"

#include "net/http_target.h"

#include <string.h>
#include <strings.h>

enum { NO_HOST = UINT16_MAX }; /* of http_head.host, until it has come */

/* What a byte may be part of. */
enum { IN_NAME = 1, IN_TARGET = 2 };

static const unsigned char kinds[256] = {
#define NAME   IN_NAME
#define TARGET IN_TARGET
#define BOTH   (IN_NAME | IN_TARGET)
    ['0' ... '9'] = BOTH,
    ['A' ... 'Z'] = BOTH,
    ['a' ... 'z'] = BOTH,
    ['!'] = BOTH,
    ['$'] = BOTH,
    ['%'] = BOTH,
    ['&'] = BOTH,
    ['\''] = BOTH,
    ['*'] = BOTH,
    ['+'] = BOTH,
    ['-'] = BOTH,
    ['.'] = BOTH,
    ['_'] = BOTH,
    ['~'] = BOTH,
    ['#'] = NAME,
    ['^'] = NAME,
    ['`'] = NAME,
    ['|'] = NAME,
    ['/'] = TARGET,
    ['?'] = TARGET,
    ['='] = TARGET,
    [':'] = TARGET,
    ['@'] = TARGET,
    [','] = TARGET,
    [';'] = TARGET,
    ['('] = TARGET,
    [')'] = TARGET,
#undef NAME
#undef TARGET
#undef BOTH
};

static const char *skip(const char *at, const char *end, unsigned kind)
{
	while (at < end && kinds[(unsigned char)*at] & kind)
		at++;
	return at;
}

/* The first byte that is neither a space nor visible ASCII. Eight at a time: a byte below 0x20
 * borrows, 0x7f carries, and what is above has its highest bit set; the lowest byte that is marked
 * is exact. */
static const char *skip_value(const char *at, const char *end)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	const uint64_t ones = UINT64_C(0x0101010101010101);

	while (end - at >= 8) {
		uint64_t x, marks;

		memcpy(&x, at, 8);
		marks = ((x - 0x20 * ones) | (x + ones) | x) & 0x80 * ones;
		if (marks)
			return at + (unsigned)__builtin_ctzll(marks) / 8;
		at += 8;
	}
#endif
	while (at < end && *at >= 0x20 && *at < 0x7f)
		at++;
	return at;
}

size_t http_plain_text(const char *at, size_t n)
{
	return (size_t)(skip_value(at, at + n) - at);
}

static bool is(const char *at, size_t n, const char *name)
{
	return strncasecmp(at, name, n) == 0;
}

/* What http_check.c and llhttp look at says that it is not plain; but everybody sends Host, and
 * browsers "Connection: keep-alive". Notes which field is Host. */
static bool look_at(
    const char *name, size_t n, const char *value, size_t value_n, struct http_head *h)
{
	switch (n) {
	case 4:
		if (!is(name, n, "host"))
			return true;
		if (h->host != NO_HOST)
			return false;
		h->host = h->count;
		return http_target_is_host(value, value_n);
	case 10:
		return !is(name, n, "connection") || (value_n == 10 && is(value, 10, "keep-alive"));
	case 6: return !is(name, n, "expect");
	case 7: return !is(name, n, "upgrade");
	case 14: return !is(name, n, "content-length");
	case 16: return !is(name, n, "proxy-connection");
	case 17: return !is(name, n, "transfer-encoding");
	default: return true;
	}
}

/* "Name: value\r\n" at `at`: what is behind it, or NULL. */
static const char *read_field(
    const char *at, const char *end, struct http_field *f, struct http_head *h)
{
	const char *name_end = skip(at, end, IN_NAME), *value, *next;
	size_t n;

	if (name_end == at || name_end == end || *name_end != ':')
		return NULL;
	value = name_end + 1;
	while (value < end && *value == ' ')
		value++;
	next = skip_value(value, end);
	if (end - next < 2 || next[0] != '\r' || next[1] != '\n')
		return NULL;
	n = (size_t)(next - value);
	while (n && value[n - 1] == ' ')
		n--;
	*f = (struct http_field){
	    .name = (uint32_t)(at - h->text),
	    .name_len = (uint32_t)(name_end - at),
	    .value = (uint32_t)(value - h->text),
	    .value_len = (uint32_t)n,
	};
	return look_at(at, f->name_len, value, n, h) ? next + 2 : NULL;
}

/* "GET /target HTTP/1.1\r\n": what is behind it, or NULL. */
static const char *read_line(const char *at, const char *end, struct http_head *h)
{
	static const char version[] = " HTTP/1.1\r\n";
	const size_t version_n = sizeof version - 1;
	const char *target_end;

	if (end - at < 5 || memcmp(at, "GET /", 5) != 0)
		return NULL;
	h->text = at + 4;
	target_end = skip(h->text, end, IN_TARGET);
	if ((size_t)(end - target_end) < version_n || memcmp(target_end, version, version_n) != 0)
		return NULL;
	h->target_len = (uint32_t)(target_end - h->text);
	return target_end + version_n;
}

bool http_plain_read(const char *bytes, size_t n, const struct http_limits *limits,
    struct http_field *fields, struct http_head *head_r)
{
	const char *end = bytes + n, *at, *first;
	struct http_head h = {.fields = fields, .host = NO_HOST, .method = HTTP_GET, .minor = 1};
	unsigned most = limits->headers < HTTP_PLAIN_FIELDS ? limits->headers : HTTP_PLAIN_FIELDS;

	at = first = read_line(bytes, end, &h);
	while (at && end - at > 2) {
		if (h.count == most)
			return false;
		at = read_field(at, end, &fields[h.count], &h);
		h.count++;
	}
	if (!at || h.host == NO_HOST || end - at != 2 || at[0] != '\r' || at[1] != '\n' ||
	    (size_t)(first - bytes) - 2 > limits->line || (size_t)(at - first) > limits->header)
		return false;
	h.text_len = (uint32_t)(end - h.text);
	*head_r = h;
	return true;
}

struct http_head http_parser_head(const struct http_parser *p)
{
	return (struct http_head){
	    .text = p->text ? p->text : "",
	    .fields = p->fields,
	    .text_len = p->text_len,
	    .target_len = p->target_len,
	    .count = p->count,
	    .host = p->host,
	    .method = p->ll.method,
	    .minor = p->ll.http_minor,
	};
}
