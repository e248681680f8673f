#include "net/http_target.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What a registered name may consist of (RFC 3986 3.2.2). */
static bool is_name_byte(char c)
{
	/* a bit for each of the bytes 0x20 to 0x3f: !$%&'()*+-. digits ;= */
	const uint32_t low = 0x2bff6ff2;

	if ((unsigned char)c >= 0x20 && (unsigned char)c < 0x40)
		return low >> (c - 0x20) & 1;
	return ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_' || c == '~';
}

static size_t name_length(const char *at, size_t n)
{
	size_t i = 0;

	while (i < n && is_name_byte(at[i]))
		i++;
	return i;
}

/* With its brackets; 0: that is none. */
static size_t literal_length(const char *at, size_t n)
{
	size_t i = 1;

	while (i < n && (digit(at[i]) >= 0 || at[i] == ':' || at[i] == '.'))
		i++;
	return i > 2 && i < n && at[i] == ']' ? i + 1 : 0;
}

static bool is_port(const char *at, size_t n)
{
	unsigned port = 0;

	if (n > 5)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (at[i] < '0' || at[i] > '9')
			return false;
		port = port * 10 + (unsigned)(at[i] - '0');
	}
	return port <= 65535;
}

bool http_target_is_host(const char *at, size_t n)
{
	size_t host = n && at[0] == '[' ? literal_length(at, n) : name_length(at, n);

	if (!host)
		return false;
	return host == n || (at[host] == ':' && is_port(at + host + 1, n - host - 1));
}

/* Splits "http://host/path" off; false: that is none. */
static bool split_absolute(struct http_span *rest, struct http_target *t)
{
	static const char *const schemes[] = {"http", "https"};

	for (int i = 0; i < 2; i++) {
		size_t n = strlen(schemes[i]);
		const char *end;

		if (rest->n <= n + 3 || strncasecmp(rest->at, schemes[i], n) != 0 ||
		    memcmp(rest->at + n, "://", 3) != 0)
			continue;
		t->scheme = schemes[i];
		t->host.at = rest->at + n + 3;
		end = t->host.at;
		while (end < rest->at + rest->n && *end != '/' && *end != '?')
			end++;
		t->host.n = (size_t)(end - t->host.at);
		rest->n -= (size_t)(end - rest->at);
		rest->at = end;
		return http_target_is_host(t->host.at, t->host.n);
	}
	return false;
}

bool http_target_split(const char *text, size_t n, struct http_target *t)
{
	struct http_span rest = {text, n};
	const char *mark;

	memset(t, 0, sizeof *t);
	if (rest.n == 1 && rest.at[0] == '*') {
		t->path = rest;
		return true;
	}
	if (!rest.n || (rest.at[0] != '/' && !split_absolute(&rest, t)))
		return false;
	mark = rest.n ? memchr(rest.at, '?', rest.n) : NULL;
	t->path.at = rest.at;
	t->path.n = mark ? (size_t)(mark - rest.at) : rest.n;
	if (mark) {
		t->has_query = true;
		t->query.at = mark + 1;
		t->query.n = rest.n - t->path.n - 1;
	}
	return true;
}

bool http_target_is_plain(struct http_span path)
{
	return path.n > 0 && !memchr(path.at, '%', path.n) && !memmem(path.at, path.n, "//", 2) &&
	       !memmem(path.at, path.n, "..", 2);
}

size_t http_target_decode(char *out, const char *at, size_t n)
{
	size_t len = 0;

	if (!n || at[0] != '/')
		out[len++] = '/';
	for (size_t i = 0; i < n; i++) {
		char c = at[i];

		if (c == '/' && i && at[i - 1] == '/')
			continue;
		if (c == '%' && i + 2 < n && digit(at[i + 1]) >= 0 && digit(at[i + 2]) >= 0) {
			c = (char)(digit(at[i + 1]) * 16 + digit(at[i + 2]));
			i += 2;
		}
		out[len++] = c;
	}
	return len;
}

bool http_target_is_inside(const char *path, size_t n)
{
	int level = 0;

	for (size_t i = 0; i < n;) {
		size_t from = ++i;

		while (i < n && path[i] != '/')
			i++;
		if (i - from == 2 && path[from] == '.' && path[from + 1] == '.') {
			if (--level < 0)
				return false;
		} else if (i > from && !(i - from == 1 && path[from] == '.')) {
			level++;
		}
	}
	return !memchr(path, '\0', n);
}
