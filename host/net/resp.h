/* Replies of a Redis server (RESP2), read by hiredis' reader into small trees of our own.
 *
 * The server is not trusted: a reply has at most `bytes` bytes and `values` values, at most seven
 * arrays stand in each other, and a number of elements is believed only within that. What breaks
 * the protocol or a limit ends the reading for good. */
#ifndef NET_RESP_H
#define NET_RESP_H

#include <stdbool.h>
#include <stddef.h>

enum resp_type { RESP_NULL, RESP_INTEGER, RESP_STRING, RESP_ERROR, RESP_ARRAY };

struct resp_value {
	enum resp_type type;
	size_t len;                /* bytes, or elements */
	long long number;          /* RESP_INTEGER */
	char *text;                /* RESP_STRING (also of a status) and RESP_ERROR */
	struct resp_value **items; /* RESP_ARRAY: `len` pointers */
};

struct resp {
	void *reader; /* private: hiredis' */
	size_t bytes_max, values_max;
	size_t bytes, values; /* private: of the reply under way */
	const char *why;      /* what is wrong, or NULL; static or the reader's text */
};

/* Storage is the caller's. 0, or -1 when memory is out. */
int resp_init(struct resp *r, size_t bytes_max, size_t values_max);
void resp_fini(struct resp *r);

/* Takes bytes from the server. 0, or -1 with `why` set: nothing more is read. */
int resp_feed(struct resp *r, const char *data, size_t size);

/* The next whole reply: 1 and it is the caller's (resp_value_free); 0: more bytes are needed;
 * -1 with `why` set. Not to be called twice at the same time from builders. */
int resp_next(struct resp *r, struct resp_value **value_r);

/* Frees a reply with all that is in it and nulls the pointer; NULL is allowed. */
void resp_value_free(struct resp_value **value);

#endif
