#include "net/cork.h"

#include <stdlib.h>

int cork_init(struct cork *k)
{
	*k = (struct cork){.data = malloc(CORK_SIZE)};
	k->dirty_tail = &k->dirty;
	k->later_tail = &k->later;
	return k->data ? 0 : -1;
}

void cork_fini(struct cork *k)
{
	free(k->data);
	k->data = NULL;
	k->n_pieces = k->first = 0;
	k->len = 0;
}

/* Whoever writes again has the last piece, as a rule, and whoever is flushed the first. */
struct cork_piece *cork_find(struct cork *k, const struct conn *c)
{
	if (k->n_pieces && k->pieces[k->n_pieces - 1].conn == c)
		return &k->pieces[k->n_pieces - 1];
	for (unsigned i = k->first; i < k->n_pieces; i++)
		if (k->pieces[i].conn == c)
			return &k->pieces[i];
	return NULL;
}

void cork_drop(struct cork *k, struct cork_piece *piece)
{
	piece->conn = NULL;
	while (k->n_pieces > k->first && !k->pieces[k->n_pieces - 1].conn)
		k->len = k->pieces[--k->n_pieces].at;
	while (k->first < k->n_pieces && !k->pieces[k->first].conn)
		k->first++;
	if (k->first == k->n_pieces)
		k->first = k->n_pieces = 0, k->len = 0;
}
