/* The head of a plain request, read in one pass: GET, a path, HTTP/1.1, header lines of visible
 * ASCII, nothing that says how the message is framed or that its connection ends.
 *
 * It judges nothing: what it does not know by heart goes to http_parser.c, so it may only say yes
 * to what that accepts, and must see the same in it (contrib/fuzz/http_fuzz.c holds that). llhttp
 * with its callbacks takes 2,700 instructions for a GET with one header and 7,900 with nine; this
 * takes a sixth of that. */
#ifndef NET_HTTP_PLAIN_H
#define NET_HTTP_PLAIN_H

#include "net/http_parser.h"

#include <stdbool.h>
#include <stddef.h>

enum { HTTP_PLAIN_FIELDS = 32 }; /* with more it is not plain */

/* A complete head. What it points to is borrowed. */
struct http_head {
	const char *text;                /* the target, and somewhere behind it names and values */
	const struct http_field *fields; /* `count` of them, offsets into text */
	uint32_t text_len, target_len;
	uint16_t count;
	uint16_t host;  /* the field that is Host */
	uint8_t method; /* llhttp's */
	uint8_t minor;  /* of the version */
};

/* Whether the bytes are one plain request without a body, nothing less and nothing more. Then fills
 * *head_r with the help of `fields` (HTTP_PLAIN_FIELDS of them); both point into what was given. */
bool http_plain_read(const char *bytes, size_t n, const struct http_limits *limits,
    struct http_field *fields, struct http_head *head_r);

/* How many of the bytes at the begin are spaces or visible ASCII. */
size_t http_plain_text(const char *at, size_t n);

/* The head that a parser holds, which owns what it points to. */
struct http_head http_parser_head(const struct http_parser *p);

#endif
