/* What http_parser.c and http_check.c share; nobody else includes this. */
#ifndef NET_HTTP_PARTS_H
#define NET_HTTP_PARTS_H

#include "net/http_parser.h"

/* The first refusal counts. Returns -1. */
int http_refuse(struct http_parser *p, unsigned status, const char *why);

/* Whether it is the header of that (lower-case) name. */
bool http_field_is(
    const struct http_parser *p, const struct http_field *f, const char *name, size_t n);

/* Host, codings, expectations and version of a complete head: 0, or -1 when it was refused. */
int http_check_request(struct http_parser *p);

/* Looks at the lines of the head, or of the trailers, before llhttp does: their ends, begins and
 * lengths. Returns how many bytes belong to them; may refuse. */
size_t http_guard(struct http_parser *p, const char *bytes, size_t n);

#endif
