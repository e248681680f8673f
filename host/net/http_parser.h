/* HTTP/1.x messages out of bytes, by RFC 9112 to the letter, on llhttp.
 *
 * llhttp is the state machine; what it lets through and the RFC does not is refused here: lines
 * without CR, folded lines, Host missing or twice, an encoding other than "chunked", lengths and
 * encodings together, versions other than 1.0 and 1.1, and every limit. One message is parsed at a
 * time, and nothing behind a message that was refused is ever looked at.
 *
 *   HEAD ──> BODY ──> DONE ──> (the next call of http_parser_run) HEAD
 *     └────────┴──> BAD: for good */
#ifndef NET_HTTP_PARSER_H
#define NET_HTTP_PARSER_H

#include "base/buf.h"

#include <llhttp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_limits {
	uint32_t line;    /* bytes of the first line, without its end */
	uint32_t header;  /* bytes of all other lines of the head, with their ends */
	uint32_t headers; /* how many of them */
};

/* Name and value of a header: offsets into the text of the head. */
struct http_field {
	uint32_t name, name_len, value, value_len;
};

enum http_event {
	HTTP_EV_MORE, /* all bytes are used up, nothing to tell */
	HTTP_EV_HEAD, /* the head is complete, a body follows */
	HTTP_EV_BODY, /* some of the body stands in `body` */
	HTTP_EV_DONE, /* the message is complete; what is left of the body stands in `body` */
	HTTP_EV_BAD,  /* see `status` and `why` */
};

enum http_stage { HTTP_IN_HEAD, HTTP_IN_BODY, HTTP_AT_END, HTTP_REFUSED };

struct http_parser {
	llhttp_t ll;               /* ro: method, http_major, http_minor, status_code */
	struct http_limits limits; /* ro */
	char *text;                /* ro: target or reason, then names and values; NULL at rest */
	struct http_field *fields; /* ro: `count` of them */
	struct buf *body;          /* the owner may take it; NULL: empty */
	uint64_t body_max;         /* most bytes that `body` may grow to; 0 = no limit */
	uint64_t length;           /* ro: Content-Length, 0 without */
	uint64_t raw, payload;     /* private: bytes of the body as sent, as meant */
	const char *why;           /* ro: static storage */
	uint32_t text_len, text_cap, target_len;
	uint32_t line, lines, head; /* private: of the line guard */
	uint16_t count, capacity;
	uint16_t host;       /* ro: the field that is Host, of a request that has one */
	uint16_t status;     /* ro: what to answer, for HTTP_EV_BAD */
	uint8_t stage;       /* ro: enum http_stage */
	uint8_t spaces;      /* private: in the first line */
	char last;           /* private */
	bool guarded : 1;    /* private: the empty line has come */
	bool complete : 1;   /* private */
	bool trailing : 1;   /* private: behind the last chunk */
	bool in_value : 1;   /* private */
	bool has_head : 1;   /* ro: text and fields are those of a complete head */
	bool skip_body : 1;  /* a response to HEAD */
	bool chunked : 1;    /* ro */
	bool until_end : 1;  /* ro: the body of a response ends with the connection */
	bool expects : 1;    /* ro: Expect: 100-continue */
	bool persistent : 1; /* ro: the connection may go on after this message */
};

/* type: HTTP_REQUEST or HTTP_RESPONSE. */
void http_parser_init(struct http_parser *p, llhttp_type_t type, const struct http_limits *limits);

/* Releases what it holds; may be called again. */
void http_parser_fini(struct http_parser *p);

/* Releases the head of a message that has ended, once the owner has what it wants of it: a
 * connection between two messages holds none. */
void http_parser_forget(struct http_parser *p);

/* Parses up to the next event; `used_r`: bytes that are done with. */
enum http_event http_parser_run(struct http_parser *p, const char *bytes, size_t n, size_t *used_r);

/* The connection has ended: HTTP_EV_DONE for a response that ends so, HTTP_EV_MORE between
 * messages, else HTTP_EV_BAD. */
enum http_event http_parser_end(struct http_parser *p);

/* Whether a part of a message has come. */
bool http_parser_begun(const struct http_parser *p);

/* The header of that (lower-case) name, the first one; NULL if there is none. */
const struct http_field *http_parser_find(const struct http_parser *p, const char *name, size_t n);

#endif
