#include "base/slab.h"

#include "base/pages.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
	SLAB = 8192,
	ARENA = 512 * 1024, /* aligned: the arena of a piece is found by masking its address */
	/* The first arenas are one huge page where the system has one: what a start makes of Lua is
	 * 1 to 2 MiB, in a virtual machine 1.5 to 4 ms in pages of 4 KiB and 0.25 so. */
	FIRST = 2 * 1024 * 1024,
	SLABS = ARENA / SLAB,
	/* Sizes: each 16 bytes up to 512, then four to a power of two. */
	FINE = 512,
	FINE_CLASSES = FINE / 16,
	CLASSES = FINE_CLASSES + 8,
	/* Fresh slabs come populated, so many at once: a page fault a page is 0.3 of the time that
	 * a start spends on 4 MiB of Lua. */
	AHEAD = 8,
};

/* A slab's state is not in the slab: at one offset of every 8 KiB, all of them would fall into the
 * same few sets of the cache, and a slab of 1 KiB pieces would hold seven. */
struct slab {
	void *free;               /* list through the pieces */
	struct slab *next, *prev; /* in the list of its size while it has free pieces */
	uint16_t used, class;
};

/* Lies at the begin of its memory, which is slab 0. */
struct arena {
	struct arena *next, *prev; /* in the list of those that have an empty slab */
	struct slab slabs[SLABS];
	uint64_t empty;    /* a bit for each slab that holds nothing */
	uint64_t resident; /* a bit for each slab that may have memory behind it */
};

_Static_assert(SLABS == 64, "the bits of an arena");
_Static_assert(sizeof(struct arena) <= SLAB, "an arena's state fits into its first slab");

static struct {
	struct slab *partial[CLASSES]; /* those with free pieces */
	struct arena *roomy;           /* those with an empty slab */
	struct arena *spare;           /* one that is wholly empty, against giving back and forth */
	char *first;                   /* the next of the first arenas, and how many are left */
	unsigned left;
} slabs;

static unsigned class_of(size_t size)
{
	unsigned power, quarter;

	if (size <= FINE)
		return (unsigned)(size + 15) / 16 - 1;
	power = 31 - (unsigned)__builtin_clz((unsigned)size - 1); /* 9: 513 to 1,024 */
	quarter = ((unsigned)size - 1) >> (power - 2) & 3;
	return FINE_CLASSES + (power - 9) * 4 + quarter;
}

static size_t size_of(unsigned class)
{
	if (class < FINE_CLASSES)
		return ((size_t) class + 1) * 16;
	class -= FINE_CLASSES;
	return ((size_t)512 << class / 4) + ((size_t)128 << class / 4) * (class % 4 + 1);
}

static struct arena *arena_of(const void *p)
{
	return (struct arena *)((uintptr_t)p & ~((uintptr_t)ARENA - 1));
}

static struct slab *slab_of(const void *p)
{
	return &arena_of(p)->slabs[((uintptr_t)p & (ARENA - 1)) / SLAB];
}

/* ---- arenas ---- */

static void link_roomy(struct arena *a)
{
	a->prev = NULL;
	a->next = slabs.roomy;
	if (a->next)
		a->next->prev = a;
	slabs.roomy = a;
}

static void unlink_roomy(struct arena *a)
{
	if (a->prev)
		a->prev->next = a->next;
	else
		slabs.roomy = a->next;
	if (a->next)
		a->next->prev = a->prev;
}

static void *map_arena(void)
{
	char *a;

	if (!slabs.first) {
		slabs.first = pages_map(FIRST, FIRST);
		if (!slabs.first)
			return NULL;
		slabs.left = FIRST / ARENA;
		(void)madvise(slabs.first, FIRST, MADV_HUGEPAGE);
	}
	if (!slabs.left)
		return pages_map(ARENA, ARENA);
	a = slabs.first;
	slabs.first += ARENA;
	slabs.left--;
	return a;
}

static struct arena *new_arena(void)
{
	struct arena *a = slabs.spare;

	slabs.spare = NULL;
	if (!a) {
		a = map_arena();
		if (!a)
			return NULL;
		a->empty = ~(uint64_t)1;
		a->resident = 1;
	}
	link_roomy(a);
	return a;
}

static void drop_arena(struct arena *a)
{
	unlink_roomy(a);
	if (!slabs.spare) {
		slabs.spare = a;
		return;
	}
	munmap(a, ARENA);
}

/* The bits of n slabs from slab i on; n < SLABS. */
static uint64_t bits(unsigned i, unsigned n)
{
	return (((uint64_t)1 << n) - 1) << i;
}

/* Memory for slab i and some that follow, at once. Kernels before 5.14 do not know how: then each
 * page comes when it is touched. */
static void populate(struct arena *a, unsigned i)
{
	unsigned n = 1;

	while (n < AHEAD && i + n < SLABS && !(a->resident >> (i + n) & 1))
		n++;
#ifdef MADV_POPULATE_WRITE
	(void)madvise((char *)a + (size_t)i * SLAB, (size_t)n * SLAB, MADV_POPULATE_WRITE);
#endif
	a->resident |= bits(i, n);
}

/* ---- slabs ---- */

static void link_partial(struct slab *s)
{
	struct slab **head = &slabs.partial[s->class];

	s->prev = NULL;
	s->next = *head;
	if (s->next)
		s->next->prev = s;
	*head = s;
}

static void unlink_partial(struct slab *s)
{
	if (s->prev)
		s->prev->next = s->next;
	else
		slabs.partial[s->class] = s->next;
	if (s->next)
		s->next->prev = s->prev;
}

/* A list through all pieces of a slab, in the order of their addresses. */
static void cut(struct slab *s, char *memory, size_t size)
{
	size_t n = SLAB / size;

	for (size_t i = 0; i + 1 < n; i++)
		*(void **)(void *)(memory + i * size) = memory + (i + 1) * size;
	*(void **)(void *)(memory + (n - 1) * size) = NULL;
	s->free = memory;
	s->used = 0;
}

static struct slab *new_slab(unsigned class)
{
	struct arena *a = slabs.roomy ? slabs.roomy : new_arena();
	struct slab *s;
	unsigned i;

	if (!a)
		return NULL;
	/* one that has memory before one that has none */
	i = (unsigned)__builtin_ctzll(a->empty & a->resident ? a->empty & a->resident : a->empty);
	if (!(a->resident >> i & 1))
		populate(a, i);
	a->empty &= ~((uint64_t)1 << i);
	if (!a->empty)
		unlink_roomy(a);
	s = &a->slabs[i];
	s->class = (uint16_t) class;
	cut(s, (char *)a + (size_t)i * SLAB, size_of(class));
	link_partial(s);
	return s;
}

static void drop_slab(struct slab *s)
{
	struct arena *a = arena_of(s);

	unlink_partial(s);
	if (!a->empty)
		link_roomy(a);
	a->empty |= (uint64_t)1 << (s - a->slabs);
	if (a->empty == ~(uint64_t)1)
		drop_arena(a);
}

/* ---- pieces ---- */

static void *take(size_t size)
{
	unsigned class = class_of(size);
	struct slab *s = slabs.partial[class];
	void *p;

	if (!s && !(s = new_slab(class)))
		return NULL;
	p = s->free;
	s->free = *(void **)p;
	s->used++;
	if (!s->free)
		unlink_partial(s);
	return p;
}

static void give(void *p)
{
	struct slab *s = slab_of(p);

	if (!s->free)
		link_partial(s);
	*(void **)p = s->free;
	s->free = p;
	if (--s->used == 0 && (s->next || s->prev)) /* the last one of its size stays */
		drop_slab(s);
}

/* AddressSanitizer is to see each piece. */
static bool is_small(size_t size)
{
#ifdef GADWALL_SAN
	(void)size;
	return false;
#else
	return size <= SLAB_MOST;
#endif
}

static bool is_mapped(const void *piece, size_t size)
{
	return size >= PAGES_LEAST && pages_own(piece);
}

void *slab_new(size_t size)
{
	return is_small(size) ? take(size) : malloc(size);
}

void slab_free(void *piece, size_t size)
{
	if (is_small(size))
		give(piece);
	else if (is_mapped(piece, size))
		(void)pages_resize(piece, 0);
	else
		free(piece);
}

static void *move(void *piece, size_t old, void *to, size_t size)
{
	if (!to)
		return NULL;
	memcpy(to, piece, old < size ? old : size);
	slab_free(piece, old);
	return to;
}

/* Both above SLAB_MOST. What doubles becomes a mapping: an array or a buffer that grows. What has
 * one size for its life stays malloc's, which has memory at hand that has been touched. */
static void *resize_large(void *piece, size_t old, size_t size)
{
	bool mapped = is_mapped(piece, old);
	void *p = NULL;

#ifdef GADWALL_SAN
	return realloc(piece, size);
#endif
	if (size >= PAGES_LEAST && mapped)
		p = pages_resize(piece, size);
	else if (size >= PAGES_LEAST && size == 2 * old)
		p = move(piece, old, pages_resize(NULL, size), size);
	if (p)
		return p;
	return mapped ? move(piece, old, malloc(size), size) : realloc(piece, size);
}

void *slab_resize(void *piece, size_t old, size_t size)
{
	bool was = is_small(old), is = is_small(size);

	if (!was && !is)
		return resize_large(piece, old, size);
	if (was && is && class_of(old) == class_of(size))
		return piece;
	return move(piece, old, slab_new(size), size);
}

/* ---- rest ---- */

static void trim_arena(struct arena *a)
{
	uint64_t idle = a->empty & a->resident;

	while (idle) { /* runs of slabs */
		unsigned i = (unsigned)__builtin_ctzll(idle);
		unsigned n = (unsigned)__builtin_ctzll(~(idle >> i)); /* slab 0 is never empty */

		if (madvise((char *)a + (size_t)i * SLAB, (size_t)n * SLAB, MADV_DONTNEED) == 0)
			a->resident &= ~bits(i, n);
		idle &= ~bits(i, n);
	}
}

void slab_trim(void)
{
	pages_trim();
	if (slabs.spare) {
		munmap(slabs.spare, ARENA);
		slabs.spare = NULL;
	}
	for (struct arena *a = slabs.roomy; a; a = a->next)
		trim_arena(a);
}
