#include "base/buf.h"

#include <stdlib.h>
#include <string.h>

enum { SMALLEST = 512 - sizeof(struct buf) };

static struct buf *grow(struct buf *b, size_t need)
{
	size_t cap = b ? b->cap : SMALLEST;
	struct buf *bigger;

	while (cap < need)
		cap *= 2;
	bigger = realloc(b, sizeof *b + cap);
	if (!bigger)
		return NULL;
	if (!b)
		bigger->off = bigger->len = 0;
	bigger->cap = cap;
	return bigger;
}

int buf_append(struct buf **b, const void *bytes, size_t n)
{
	struct buf *p = *b;

	if (n == 0)
		return 0;
	if (p && p->off && (p->off >= p->cap / 2 || p->off + p->len + n > p->cap)) {
		memmove(p->data, p->data + p->off, p->len);
		p->off = 0;
	}
	if (!p || p->off + p->len + n > p->cap) {
		p = grow(p, (p ? p->len : 0) + n);
		if (!p)
			return -1;
		*b = p;
	}
	memcpy(p->data + p->off + p->len, bytes, n);
	p->len += n;
	return 0;
}

void buf_consume(struct buf **b, size_t n)
{
	struct buf *p = *b;

	if (!p)
		return;
	if (n >= p->len) {
		buf_free(b);
		return;
	}
	p->off += n;
	p->len -= n;
}

size_t buf_len(const struct buf *b)
{
	return b ? b->len : 0;
}

const char *buf_peek(const struct buf *b)
{
	return b->data + b->off;
}

void buf_free(struct buf **b)
{
	free(*b);
	*b = NULL;
}
