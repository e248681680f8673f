#include "base/pages.h"

#include <stdint.h>
#include <sys/mman.h>

enum { UNIT = 64 * 1024 }; /* a multiple of any system's page */

void *pages_map(size_t size, size_t align)
{
	/* of as much more as it may have to be moved, what sticks out goes back */
	char *p =
	    mmap(NULL, size + align, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t before;

	if (p == MAP_FAILED)
		return NULL;
	before = -(uintptr_t)p & (align - 1);
	if (before)
		munmap(p, before);
	munmap(p + before + size, align - before);
	return p + before;
}

static size_t round_up(size_t size)
{
	return (size + UNIT - 1) & ~((size_t)UNIT - 1);
}

static void *grow(void *piece, size_t old, size_t size)
{
	void *to = pages_map(size, PAGES_LEAST);

	if (!to)
		return NULL;
	/* whole huge pages move as such only from one multiple of theirs to another */
	if (mremap(piece, old, size, MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED) {
		munmap(to, size);
		return NULL;
	}
	return to;
}

static void *fresh(size_t size)
{
	void *piece = pages_map(size, PAGES_LEAST);

	if (piece)
		(void)madvise(piece, size, MADV_HUGEPAGE);
	return piece;
}

void *pages_resize(void *piece, size_t old, size_t size)
{
	if (size > SIZE_MAX - 2 * (size_t)PAGES_LEAST)
		return NULL;
	old = round_up(old);
	size = round_up(size);
	if (!piece)
		return fresh(size);
	if (size > old)
		return grow(piece, old, size);
	if (size < old)
		munmap((char *)piece + size, old - size);
	return size ? piece : NULL;
}
