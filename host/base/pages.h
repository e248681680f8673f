/* Memory straight from the system, for what is too large for slabs and malloc to serve well. */
#ifndef BASE_PAGES_H
#define BASE_PAGES_H

#include <stddef.h>

/* What pages_resize is for: pieces of at least a huge page. */
enum { PAGES_LEAST = 2 << 20 };

/* `size` bytes at a multiple of `align`, a power of two; both multiples of 64 KiB. Zeroes, none of
 * which has memory behind it before it is touched. NULL: no memory. */
void *pages_map(size_t size, size_t align);

/* Makes a piece of `size` bytes of the piece `old` bytes long, each PAGES_LEAST or more. piece
 * NULL: a new one; size 0: gives it back to the system at once, NULL. NULL with size > 0: no
 * memory, and the piece is as it was. It grows without its contents being copied.
 *
 * The system is asked for huge pages, where it has them for those who ask: a virtual machine takes
 * 12 us for the first touch of a page of 4 KiB (64 MiB: 380 ms), and 9 to 15 ms for all 64 MiB in
 * huge ones. All of the piece is about to be touched: it is one array. */
void *pages_resize(void *piece, size_t old, size_t size);

#endif
