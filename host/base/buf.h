/* A byte queue in one block: bytes come in at the end and leave at the front.
 * The owner keeps a pointer that is NULL while the queue is empty, so an idle connection pays
 * nothing. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stddef.h>

struct buf {
	size_t off, len, cap; /* private: `len` bytes from data + off */
	char data[];
};

/* Adds `n` bytes; makes the block if *b is NULL. 0, or -1 with ENOMEM and nothing changed. */
int buf_append(struct buf **b, const void *bytes, size_t n);

/* Takes `n` bytes (at most what is there) from the front; frees the block and nulls *b when it is
 * empty. */
void buf_consume(struct buf **b, size_t n);

/* Number of bytes; 0 for NULL. */
size_t buf_len(const struct buf *b);

/* The bytes; borrowed until the next append or consume. `b` is not NULL. */
const char *buf_peek(const struct buf *b);

/* Frees the block and nulls *b. */
void buf_free(struct buf **b);

#endif
