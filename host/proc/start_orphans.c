/* What RUNTIME/state says of the workers of a keeper that died, and of its last upgrade: read once
 * at the start, under the lock. */
#include "proc/table.h"

enum { STATE_MAX = 16384 };

/* The value of the line that begins with `word`, or NULL. */
static const char *find_line(const char *text, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = text; p && *p; p = strchr(p, '\n'), p += p != NULL)
		if (strncmp(p, word, n) == 0 && p[n] == ' ')
			return p + n + 1;
	return NULL;
}

static bool is_nonce(const char *text)
{
	return strspn(text, "0123456789abcdef") == sizeof keeper.nonce - 1 &&
	       text[sizeof keeper.nonce - 1] == '\n';
}

static void note(const char *line)
{
	struct attach *a = &keeper.attach;
	struct orphan o = {0};
	unsigned pid;

	if (a->nnamed == KEEPER_WORKERS ||
	    sscanf(line, "%u %u %u %llu", &o.generation, &o.number, &pid, &o.ticks) != 4)
		return;
	o.pid = (pid_t)pid;
	if (pid > 0 && o.ticks > 0 && state_ticks(o.pid) == o.ticks)
		a->named[a->nnamed++] = o;
}

void start_read_orphans(int dir)
{
	static char text[STATE_MAX]; /* 64 lines of workers at most */
	int fd = openat(dir, "state", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
	const char *nonce, *line;

	fd_close(&fd);
	if (n <= 0)
		return;
	text[n] = '\0';
	nonce = find_line(text, "nonce");
	if (strncmp(text, "gadwall-state 1\n", 16) != 0 || !nonce || !is_nonce(nonce)) {
		log_warn(
		    "%s/state cannot be read: workers of a keeper that died would not be taken "
		    "over",
		    keeper.settings.runtime_path);
		return;
	}
	for (const char *p = strstr(text, "\nworker "); p; p = strstr(p + 1, "\nworker "))
		note(p + sizeof "\nworker " - 1);
	line = find_line(text, "upgrade");
	if (line)
		upgrade_read_line(line, keeper.attach.nnamed > 0);
	if (keeper.attach.nnamed == 0)
		return;
	/* the same instance goes on: its workers know it by this */
	memcpy(keeper.nonce, nonce, sizeof keeper.nonce - 1);
	line = find_line(text, "active");
	keeper.attach.last_active = line ? (uint32_t)strtoul(line, NULL, 10) : 0;
	line = find_line(text, "highest");
	keeper.highest = line ? (uint32_t)strtoul(line, NULL, 10) : 0;
}
