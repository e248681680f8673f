#include "base/embedded.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* Around all texts and bytecode (contrib/dev/embed.c). */
extern const char embedded_begin[], embedded_end[];

void embedded_trim(void)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t begin = ((uintptr_t)embedded_begin + page - 1) & ~(page - 1);
	uintptr_t end = (uintptr_t)embedded_end & ~(page - 1);

	if (begin < end)
		(void)madvise((void *)begin, end - begin, MADV_DONTNEED);
}
