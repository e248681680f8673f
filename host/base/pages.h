/* Memory straight from the system, for what is too large for slabs and malloc to serve well. */
#ifndef BASE_PAGES_H
#define BASE_PAGES_H

#include <stdbool.h>
#include <stddef.h>

/* The least size of a piece that pages_resize makes. */
enum { PAGES_LEAST = 2 << 20 };

/* `size` bytes at a multiple of `align`, a power of two; both multiples of 64 KiB. Zeroes, none of
 * which has memory behind it before it is touched. NULL: no memory. */
void *pages_map(size_t size, size_t align);

/* Makes a piece of `size` bytes, PAGES_LEAST or more, of a smaller or larger one. piece NULL: a new
 * one; size 0: gives it back, NULL. NULL with size > 0: no memory, or there are too many such
 * pieces, and the piece is as it was. It grows without a copy.
 *
 * For arrays that grow: all of a piece is about to be touched. So the system is asked for huge
 * pages, where it has them for those who ask. A virtual machine took 12 us for the first touch of a
 * page of 4 KiB, 380 ms for 64 MiB, and 15 ms for as much in huge ones. */
void *pages_resize(void *piece, size_t size);

/* Whether this is a piece of pages_resize. */
bool pages_own(const void *piece);

/* Gives back to the system what pages_resize keeps for the next piece. For moments of rest. */
void pages_trim(void);

#endif
