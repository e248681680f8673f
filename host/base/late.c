#include "base/late.h"

#include "base/log.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LIBRARIES = 8 };

/* Made by contrib/dev/late.sh; the list ends with zeros. */
struct late_library {
	const char *name;   /* as for -l */
	const char *soname; /* as for dlopen; NULL in late_libraries' last */
	const char *names;  /* of the functions, one after the other; an empty one ends them */
	void **slots;       /* their addresses, in that order */
};

extern const struct late_library late_libraries[] __attribute__((weak));

void late_missing(void);

void late_missing(void)
{
	log_error("a function was called whose library is not loaded (base/late.h)");
	abort();
}

static size_t count(const char *names)
{
	size_t n = 0;

	for (; *names; names += strlen(names) + 1)
		n++;
	return n;
}

/* The slots are among what is read-only once the program has begun. */
static int protect(void **slots, size_t n, int how)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)slots & ~(page - 1);

	return mprotect((void *)begin, (uintptr_t)(slots + n) - begin, how);
}

static int fill(const struct late_library *l, void *handle)
{
	void **slot = l->slots;

	for (const char *name = l->names; *name; name += strlen(name) + 1) {
		void *function = dlsym(handle, name);

		if (!function)
			return -1;
		*slot++ = function;
	}
	return 0;
}

static const char *load(const struct late_library *l)
{
	size_t n = count(l->names);
	void *handle = dlopen(l->soname, RTLD_NOW | RTLD_NODELETE);
	int filled;

	if (!handle)
		return dlerror();
	if (protect(l->slots, n, PROT_READ | PROT_WRITE) < 0)
		return strerror(errno);
	filled = fill(l, handle);
	(void)protect(l->slots, n, PROT_READ);
	return filled < 0 ? dlerror() : NULL;
}

const char *late_load(const char *name)
{
	static bool loaded[LIBRARIES];
	const char *why = NULL;

	for (int i = 0; late_libraries && i < LIBRARIES && late_libraries[i].name; i++) {
		if (strcmp(late_libraries[i].name, name) != 0 || loaded[i])
			continue;
		why = load(&late_libraries[i]);
		loaded[i] = !why;
	}
	return why;
}
