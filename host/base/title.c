#include "base/title.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

extern char **environ;

static char *area;
static size_t room;

/* Fields 48 to 51 of /proc/self/stat: arg_start, arg_end, env_start, env_end. */
static int read_area(unsigned long at[4])
{
	char text[2048], *p;
	int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = read(fd, text, sizeof text - 1);
	close(fd);
	if (n <= 0)
		return -1;
	text[n] = '\0';
	p = strrchr(text, ')'); /* field 2 may hold anything, but this is its last */
	for (int field = 2; p && field < 48; field++)
		p = strchr(p + 1, ' ');
	for (int i = 0; i < 4; i++) {
		if (!p)
			return -1;
		at[i] = strtoul(p, &p, 10);
	}
	return 0;
}

static int move_environment(void)
{
	/* Never freed, and one block: getenv() results live as long as the process, also those of
	 * variables that are taken away later. */
	static char **copy;
	size_t n = 0, size = 0;
	char *text;

	for (; environ && environ[n]; n++)
		size += strlen(environ[n]) + 1;
	copy = malloc((n + 1) * sizeof *copy + size);
	if (!copy)
		return -1; /* the process lives on with the old one */
	text = (char *)(copy + n + 1);
	for (size_t i = 0; i < n; i++) {
		copy[i] = text;
		text = stpcpy(text, environ[i]) + 1;
	}
	copy[n] = NULL;
	environ = copy;
	return 0;
}

static void find_area(void)
{
	unsigned long at[4];

	if (read_area(at) < 0 || at[0] == 0 || at[1] <= at[0] || move_environment() < 0)
		return;
	/* the two areas touch unless somebody moved them with prctl */
	area =
	    (char *)(uintptr_t)at[0]; /* NOLINT(performance-no-int-to-ptr): the kernel's number */
	room = (at[2] == at[1] && at[3] > at[2] ? at[3] : at[1]) - at[0];
}

void title_set(const char *text)
{
	size_t n = strlen(text);

	if (!area)
		find_area();
	(void)prctl(PR_SET_NAME, text, 0, 0, 0);
	if (!area || room < 2)
		return;
	if (n > room - 1)
		n = room - 1;
	memset(area, 0, room);
	for (size_t i = 0; i < n; i++)
		area[i] = text[i];
}
