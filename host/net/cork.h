/* The cork: what callbacks have written and what has not been sent yet. One buffer for the loop, in
 * which the bytes of each connection are one piece, so that it takes one send, and an answer costs
 * no memory of its own. A connection has a piece only while its queue (conn->out) is empty. */
#ifndef NET_CORK_H
#define NET_CORK_H

#include <stdbool.h>
#include <stddef.h>

struct conn;

enum { CORK_SIZE = 65536, CORK_PIECES = 64 };

struct cork_piece {
	struct conn *conn; /* NULL: it has been sent or moved, and its bytes are no one's */
	size_t at, n;
};

struct cork {
	char *data; /* CORK_SIZE bytes */
	size_t len;
	struct cork_piece pieces[CORK_PIECES];
	unsigned n_pieces, first;         /* before `first` there is none that anyone has */
	struct conn *dirty, **dirty_tail; /* to be flushed at loop_leave, in the order of writing */
	struct conn *later, **later_tail; /* to be flushed before the next wait */
	bool flushing;
};

/* 0, or -1 with ENOMEM. */
int cork_init(struct cork *cork);

/* Forgets all pieces and frees the buffer. */
void cork_fini(struct cork *cork);

/* The piece of a connection, NULL if it has none; valid until anything is written or sent. */
struct cork_piece *cork_find(struct cork *cork, const struct conn *conn);

/* Its bytes; borrowed. */
static inline const char *cork_bytes(const struct cork *cork, const struct cork_piece *piece)
{
	return cork->data + piece->at;
}

/* Nobody's from here on. */
void cork_drop(struct cork *cork, struct cork_piece *piece);

/* Room for n bytes more of a connection, where the caller puts them: at the end of its piece, if
 * that is the last; in a new one, which only a connection without a piece may begin. NULL: there is
 * no room, or it is not the last. */
static inline char *cork_more(struct cork *cork, const struct conn *conn, size_t n)
{
	struct cork_piece *last = cork->pieces + cork->n_pieces - 1;
	size_t at = cork->len;

	if (cork->n_pieces == 0 || last->conn != conn || n > CORK_SIZE - at)
		return NULL;
	last->n += n;
	cork->len = at + n;
	return cork->data + at;
}

static inline char *cork_begin(struct cork *cork, struct conn *conn, size_t n)
{
	size_t at = cork->len;

	if (cork->n_pieces == CORK_PIECES || n > CORK_SIZE - at)
		return NULL;
	cork->pieces[cork->n_pieces++] = (struct cork_piece){conn, at, n};
	cork->len = at + n;
	return cork->data + at;
}

#endif
