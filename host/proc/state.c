/* The files that answer without a worker: state for the next keeper, gadwall.state for people. */
#include "proc/table.h"

enum { LINE_MAX_BYTES = 128, UPGRADE_LINE = 640 };

static char
    text[1024 + UPGRADE_LINE + 2 * KEEPER_WORKERS * LINE_MAX_BYTES]; /* a line for each worker */

void state_read_proc(pid_t pid, const char *name, char *to, size_t size)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, to, size - 1);
	fd_close(&fd);
	to[n > 0 ? n : 0] = '\0';
}

unsigned long long state_ticks(pid_t pid)
{
	char line[1024], *p;

	state_read_proc(pid, "stat", line, sizeof line);
	p = strrchr(line, ')'); /* the name before it may hold anything */
	if (!p || p[1] != ' ' || p[2] == 'Z')
		return 0;
	for (int field = 2; p && field < 22; field++)
		p = strchr(p + 1, ' ');
	return p ? strtoull(p, NULL, 10) : 0;
}

static void replace(const char *name, const char *temp, size_t size, mode_t mode)
{
	int fd =
	    openat(keeper.dir, temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);

	if (fd < 0 || write(fd, text, size) != (ssize_t)size ||
	    renameat(keeper.dir, temp, keeper.dir, name) < 0)
		log_warn("cannot write %s: %s", name, strerror(errno));
	fd_close(&fd);
}

static const char *last_exit(void)
{
	static char word[24];

	if (keeper.last_signal)
		snprintf(word, sizeof word, "signal %d", keeper.last_signal);
	else if (keeper.last_exit == WORKER_UNKNOWN)
		return "unknown";
	else
		snprintf(word, sizeof word, "%d", keeper.last_exit);
	return word;
}

void state_write(void)
{
	const char *state = host_state_name(keeper.state), *phase = keeper.phase;
	unsigned living = 0;
	int n;

	if (keeper.dir < 0)
		return;
	/* For the next keeper: who lives, so that it neither starts beside them nor loses them. */
	n = snprintf(text, sizeof text,
	    "gadwall-state 1\nkeeper %d %llu\nnonce %s\nstate %s %s\nactive %u\nhighest %u\n"
	    "last %d %d\n",
	    (int)getpid(), state_ticks(getpid()), keeper.nonce, state, *phase ? phase : "-",
	    keeper.active, keeper.highest, keeper.last_exit, keeper.last_signal);
	n += (int)upgrade_state_line(text + n, UPGRADE_LINE);
	FOR_WORKERS (w) {
		living += worker_lives(w);
		if (w->pid)
			n += snprintf(text + n, LINE_MAX_BYTES, "worker %u %u %d %llu %s %u\n",
			    w->generation, w->number, (int)w->pid, w->ticks,
			    host_state_name(w->said), w->restarts);
	}
	n += (int)attach_state_lines(text + n, sizeof text - (size_t)n - 1);
	replace("state", "state.new", (size_t)n, 0600); /* it has the nonce */
	n = snprintf(text, sizeof text,
	    "pid=%d\nstate=%s\nphase=%s\ngeneration=%u\nworkers=%u\nrestarts=%u\n"
	    "last_exit=%s\nsince=%.3f\nreason=%s\n",
	    (int)getpid(), state, phase, keeper.active, living, keeper.restarts, last_exit(),
	    keeper.since, keeper.reason);
	replace("gadwall.state", "gadwall.state.new", (size_t)n, 0644);
}

void state_close(void)
{
	if (keeper.sock >= 0)
		(void)unlinkat(keeper.dir, "keeper.sock", 0);
	if (keeper.pidfile >= 0)
		(void)unlink(keeper.settings.pidfile);
	fd_close(&keeper.sock);
	fd_close(&keeper.pidfile);
	fd_close(&keeper.lock);
}
