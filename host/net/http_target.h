/* Targets of requests (RFC 9112 3.2) and the paths in them. */
#ifndef NET_HTTP_TARGET_H
#define NET_HTTP_TARGET_H

#include <stdbool.h>
#include <stddef.h>

/* Borrowed from the text that was split. */
struct http_span {
	const char *at;
	size_t n;
};

struct http_target {
	struct http_span path, query, host;
	bool has_query;
	const char *scheme; /* of an absolute target, else NULL */
};

/* Splits "/path?query", "http://host/path?query" or "*"; false: it is none of these. */
bool http_target_split(const char *text, size_t n, struct http_target *t);

/* Whether it is a host with an optional port, as Host and absolute targets have it: a name or an
 * address in brackets, a port of digits up to 65535 or none behind the colon (RFC 3986 3.2.2). */
bool http_target_is_host(const char *at, size_t n);

/* Whether a path is as handlers see it already: nothing to decode, no slash too many, no way up. */
bool http_target_is_plain(struct http_span path);

/* A path with a slash in front, slashes once, escapes decoded; `out` has room for n + 1 bytes.
 * Returns how many were written. */
size_t http_target_decode(char *out, const char *at, size_t n);

/* Whether a decoded path stays below the root at every step, and is text. */
bool http_target_is_inside(const char *path, size_t n);

#endif
