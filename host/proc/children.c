/* Children of workers: a pidfd of each, so that what a worker that was killed has left is ended by
 * somebody. Nothing is ever done to a number that a worker said: the pidfd is what counts, and only
 * of a process that the worker could have signalled itself. */
#include "proc/table.h"

#include <poll.h>
#include <sys/stat.h>

#define FOR_CHILDREN(c)                                                                            \
	for (struct ward *c = keeper.children; c < keeper.children + KEEPER_CHILDREN; c++)

static bool has_ended(const struct ward *c)
{
	struct pollfd p = {.fd = c->pidfd, .events = POLLIN};

	return poll(&p, 1, 0) > 0;
}

/* The number of a process behind a pidfd, now; 0 when it has gone. */
static pid_t number_of(int pidfd)
{
	char name[32], text[512];
	const char *p;

	snprintf(name, sizeof name, "fdinfo/%d", pidfd);
	state_read_proc(getpid(), name, text, sizeof text);
	p = strstr(text, "\nPid:");
	return p && atoi(p + 5) > 0 ? (pid_t)atoi(p + 5) : 0;
}

/* A field of /proc/PID/status that is a number; -1 if there is none. */
static long field(pid_t pid, const char *name)
{
	char text[2048];
	const char *p;

	state_read_proc(pid, "status", text, sizeof text);
	p = strstr(text, name);
	return p ? strtol(p + strlen(name), NULL, 10) : -1;
}

/* Whether the worker has the right to signal it: we must lend it none of ours. */
static bool is_workers(pid_t pid)
{
	bool drops = geteuid() == 0 && keeper.settings.uid != SETTINGS_NO_ID;
	uid_t uid = drops ? keeper.settings.uid : geteuid();

	return pid > 0 && (uid == 0 || field(pid, "\nUid:") == (long)uid);
}

/* NULL, or why it is not held. */
static const char *take(const struct worker *w, uint32_t id, int pidfd, bool survives)
{
	struct ward *place = NULL;
	pid_t pid = number_of(pidfd);
	const char *why = NULL;

	FOR_CHILDREN (c)
		if (c->pidfd < 0)
			place = c;
	if (!place)
		why = "1024 are held already";
	else if (pid > 0 && !is_workers(pid))
		why = "it is another user's";
	if (why || pid == 0) { /* it has ended meanwhile: nothing to hold */
		close(pidfd);
		return why;
	}
	*place = (struct ward){.pidfd = pidfd,
	    .generation = w->generation,
	    .worker = w->number,
	    .id = id,
	    .survives = survives,
	    .kill_due = KEEPER_NEVER};
	return NULL;
}

static bool is_of(const struct ward *c, const struct worker *w)
{
	return c->pidfd >= 0 && c->generation == w->generation && c->worker == w->number;
}

bool children_word(struct worker *w, struct ipc_message *m)
{
	uint32_t survives;
	const char *why;

	if (m->header.type == IPC_CHILD_ENDED) {
		FOR_CHILDREN (c)
			if (is_of(c, w) && c->id == m->header.id)
				fd_close(&c->pidfd);
		return true;
	}
	if (!ipc_unpack(m, "u", &survives))
		return false;
	why = take(w, m->header.id, ipc_give_fd(m, 0), survives != 0);
	if (why)
		log_warn("worker g%u.%u: a child is not held: %s", w->generation, w->number, why);
	return true;
}

/* The child, and its group if its number cannot be anybody else's: it is ours to reap. That it is
 * once its worker has ended. */
static void signal_child(const struct ward *c, int signo)
{
	pid_t pid = number_of(c->pidfd);

	if (pid > 0 && field(pid, "\nPPid:") == (long)getpid())
		(void)kill(-pid, signo);
	spawn_kill(c->pidfd, signo);
}

/* What lives on: a child that was meant to, unless this host is being stopped. */
static bool is_spared(const struct ward *c)
{
	return c->survives && (keeper.state != HOST_STOPPING || keeper.spares);
}

/* What is left of its group ends too. */
static void end(struct ward *c)
{
	if (!has_ended(c))
		log_warn("a child of generation %u is left: SIGKILL", c->generation);
	signal_child(c, SIGKILL);
	fd_close(&c->pidfd);
}

static double kill_due(void)
{
	double limit = keeper.settings.process_kill_timeout;

	return limit < 0 ? KEEPER_NEVER : clock_monotonic() + limit;
}

void children_orphaned(const struct worker *w)
{
	FOR_CHILDREN (c) {
		if (!is_of(c, w))
			continue;
		c->worker = 0;
		if (is_spared(c)) {
			log_info("a child of worker g%u.%u lives on without it", w->generation,
			    w->number);
		} else if (keeper.stopping) {
			end(c);
		} else {
			log_warn("a child of worker g%u.%u is left: SIGTERM, in %.3g s SIGKILL",
			    w->generation, w->number, keeper.settings.process_kill_timeout);
			c->kill_due = kill_due();
			signal_child(c, SIGTERM);
		}
	}
}

void children_reaping(pid_t pid)
{
	FOR_CHILDREN (c)
		if (c->pidfd >= 0 && c->kill_due < KEEPER_NEVER && number_of(c->pidfd) == pid)
			end(c);
}

double children_clock(double now)
{
	double next = KEEPER_NEVER;

	FOR_CHILDREN (c) {
		if (c->pidfd >= 0 && c->worker == 0 && has_ended(c))
			fd_close(&c->pidfd);
		if (c->pidfd < 0)
			continue;
		if (now >= c->kill_due) {
			c->kill_due = KEEPER_NEVER;
			signal_child(c, SIGKILL);
		}
		if (c->kill_due < next)
			next = c->kill_due;
	}
	return next;
}

void children_end(void)
{
	FOR_CHILDREN (c)
		if (c->pidfd >= 0 && !is_spared(c))
			end(c);
}
