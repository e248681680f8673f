/* Memory in small pieces for a caller who knows the size of each piece when he gives it back, as
 * Lua does: no header a piece, no search, and what is empty goes back to the system.
 *
 * Pieces of up to SLAB_MOST bytes come from slabs of 8 KiB, one size each, in arenas of 512 KiB;
 * larger ones are malloc's, and arrays that double to 2 MiB or more are mappings of their own
 * (base/pages.h). One thread only. Under AddressSanitizer all of it is malloc's, so that it sees
 * each piece.
 *
 * Why not malloc for all: 4,000 of the 32,500 instructions of an HTTP request were malloc's, and
 * 16 bytes of each piece. */
#ifndef BASE_SLAB_H
#define BASE_SLAB_H

#include <stddef.h>

enum { SLAB_MOST = 2048 };

/* A new piece of `size` bytes (not 0), not cleared; NULL: no memory. */
void *slab_new(size_t size);

/* Gives back a piece of `size` bytes. */
void slab_free(void *piece, size_t size);

/* Makes a piece of `size` bytes (not 0) of the piece `old` bytes long: realloc with the size told.
 * NULL: no memory, and the piece is as it was. Contents move along. */
void *slab_resize(void *piece, size_t old, size_t size);

/* Gives back to the system what is empty now and is kept for the next piece. For moments of
 * rest: the next pieces cost page faults again. */
void slab_trim(void);

#endif
