#include "base/pages.h"

#include <stdint.h>
#include <sys/mman.h>

enum {
	UNIT = 64 * 1024, /* a multiple of any system's page */
	MOST = 256,       /* pieces: half a gigabyte at the least */
	MOST_SPARE = 32 << 20,
};

struct piece {
	char *at;
	size_t size, room; /* room: what is mapped */
};

/* The spare one has memory behind it. A buffer that grows to 4 MiB again and again took three times
 * as long with fresh memory each time. */
static struct piece pieces[MOST], spare;

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

/* ---- pieces ---- */

/* NULL: a free place. */
static struct piece *find(const void *at)
{
	for (int i = 0; i < MOST; i++)
		if (pieces[i].at == at)
			return &pieces[i];
	return NULL;
}

static bool begin(struct piece *p, size_t size)
{
	char *at;

	if (spare.room >= size) {
		*p = spare;
		spare = (struct piece){0};
		return true;
	}
	at = pages_map(size, PAGES_LEAST);
	if (!at)
		return false;
	(void)madvise(at, size, MADV_HUGEPAGE);
	*p = (struct piece){.at = at, .room = size};
	return true;
}

static bool grow(struct piece *p, size_t size)
{
	char *to = pages_map(size, PAGES_LEAST);

	if (!to)
		return false;
	/* whole huge pages move as such only from one multiple of theirs to another */
	if (mremap(p->at, p->room, size, MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED) {
		munmap(to, size);
		return false;
	}
	*p = (struct piece){.at = to, .room = size};
	return true;
}

static void end(struct piece *p)
{
	struct piece out = *p;

	*p = (struct piece){0};
	if (out.room > spare.room && out.room <= MOST_SPARE) {
		struct piece smaller = spare;

		spare = out;
		out = smaller;
	}
	if (out.at)
		munmap(out.at, out.room);
}

void *pages_resize(void *piece, size_t size)
{
	struct piece *p = find(piece);

	if (!p || size > SIZE_MAX - 2 * (size_t)PAGES_LEAST)
		return NULL;
	if (size == 0) {
		end(p);
		return NULL;
	}
	size = (size + UNIT - 1) & ~((size_t)UNIT - 1);
	if (!piece ? !begin(p, size) : size > p->room && !grow(p, size))
		return NULL;
	p->size = size;
	return p->at;
}

bool pages_own(const void *piece)
{
	return ((uintptr_t)piece & (PAGES_LEAST - 1)) == 0 && find(piece);
}

void pages_trim(void)
{
	for (int i = 0; i < MOST; i++) {
		struct piece *p = &pieces[i];

		if (p->size < p->room)
			munmap(p->at + p->size, p->room - p->size);
		p->room = p->size;
	}
	if (spare.at)
		munmap(spare.at, spare.room);
	spare = (struct piece){0};
}
