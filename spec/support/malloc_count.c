/* LD_PRELOAD: writes one byte to the file $MALLOC_LOG for each allocation of a running keeper,
 * which is known by its name; run by spec/system/keeper_memory_spec.lua. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *p, size_t size);
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *p, size_t size);

static void note(const char *what)
{
	char name[16] = "";
	const char *file;
	int fd;

	if (prctl(PR_GET_NAME, name, 0, 0, 0) < 0 || strcmp(name, "gadwall: keeper") != 0)
		return;
	file = getenv("MALLOC_LOG");
	fd = file ? open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
	if (fd < 0)
		return;
	if (write(fd, what, 1) < 0)
		abort();
	close(fd);
}

void *malloc(size_t size)
{
	note("m");
	return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	note("c");
	return __libc_calloc(count, size);
}

void *realloc(void *p, size_t size)
{
	note("r");
	return __libc_realloc(p, size);
}
