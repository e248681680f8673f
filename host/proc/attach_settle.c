/* Who is the host after a keeper that died: the wait for its workers, the choice among the
 * generations that have come (attach.c takes them in), and what is missing of the chosen one.
 *
 *   (start) ──no worker of `state` lives──> first generation
 *      │
 *      └──> WAITING ──a generation that serves has come──> FOUND ──> (done)
 *              │      all are there, or ATTACH_WAIT is over    │
 *              │ none has come until one would count as hung   │ what is missing of it is started
 *              └──> the rest is killed, a new generation       │ when dead, or hung and killed
 */
#include "proc/table.h"

#include <sys/file.h>
#include <sys/syscall.h>

/* So long the orphans that `state` names have for their first word (s). */
#define ATTACH_WAIT 1.0
/* How often we look whether a missing one has died (s). */
#define LOOK_EVERY 0.1

static struct attach *const a = &keeper.attach;

static bool still_lives(const struct orphan *o)
{
	return o->pid > 0 && state_ticks(o->pid) == o->ticks;
}

static bool has_come(const struct orphan *o)
{
	const struct worker *w = worker_of(o->generation, o->number);

	return w && w->attached;
}

/* What the lock says, which no crash can make wrong; 0: nobody has it. */
static uint32_t lock_holder(void)
{
	int fd = openat(keeper.dir, "active", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char text[16] = "";

	if (fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		(void)!pread(fd, text, sizeof text - 1, 0);
	fd_close(&fd);
	return (uint32_t)strtoul(text, NULL, 10);
}

static bool may_serve(uint32_t generation)
{
	FOR_WORKERS (w)
		if (generation && w->generation == generation && w->attached && worker_lives(w) &&
		    w->said < HOST_FINISHING)
			return true;
	return false;
}

static uint32_t choose(void)
{
	uint32_t holder = lock_holder(), youngest = 0;

	if (may_serve(holder))
		return holder;
	if (may_serve(a->last_active))
		return a->last_active;
	for (int i = 0; i < KEEPER_GENERATIONS; i++)
		if (keeper.generations[i].number > youngest &&
		    may_serve(keeper.generations[i].number))
			youngest = keeper.generations[i].number;
	return youngest;
}

static bool all_came(void)
{
	for (uint32_t i = 0; i < a->nnamed; i++)
		if (!has_come(&a->named[i]) && still_lives(&a->named[i]))
			return false;
	return true;
}

/* An orphan that is silent for as long as a worker may be: as the keeper that it had would have. */
static void kill_silent(const struct orphan *o)
{
	int pidfd = (int)syscall(SYS_pidfd_open, o->pid, 0);

	if (still_lives(o)) {
		log_error("worker g%u.%u (pid %d) of a keeper that died does not come back: "
			  "SIGKILL",
		    o->generation, o->number, (int)o->pid);
		spawn_kill(pidfd, SIGKILL);
	}
	fd_close(&pidfd);
}

/* What is missing of the active generation is started anew once it is dead. */
static void fill_gaps(double now)
{
	const struct generation *g = generation_of(keeper.active);

	a->gaps = false;
	for (uint32_t number = 1; g && number <= g->settings.workers; number++) {
		const struct orphan *o = attach_named(g->number, number);
		struct worker *w = worker_of(g->number, number);

		if (w && w->state != WORKER_ENDED)
			continue;
		if (o && still_lives(o)) {
			if (now >= a->hung_at)
				kill_silent(o);
			a->gaps = true;
			continue;
		}
		w = attach_place(g->number, number);
		if (!w)
			continue;
		worker_slot_init(w, g->number, number);
		w->restarts = 1; /* not the first start of the host */
	}
}

static void take_over(uint32_t generation, double now)
{
	struct generation *g = generation_of(generation);
	struct settings s = g->settings;
	const struct worker *speaker;

	keeper.active = generation;
	g->role = GENERATION_ACTIVE;
	/* the folder and the PID file are those that we have locked */
	memcpy(s.runtime_path, keeper.settings.runtime_path, sizeof s.runtime_path);
	memcpy(s.pidfile, keeper.settings.pidfile, sizeof s.pidfile);
	keeper.settings = s;
	upgrade_resolve(generation);
	log_info(
	    "generation %u serves on; the config on disk is read at the next reload", generation);
	for (int i = 0; i < KEEPER_GENERATIONS; i++)
		if (keeper.generations[i].number && &keeper.generations[i] != g)
			attach_end_other(&keeper.generations[i]);
	fill_gaps(now);
	speaker = worker_speaker();
	if (!speaker)
		return; /* its READY is still to come */
	keeper.passive = speaker->said == HOST_PASSIVE;
	keeper_enter(speaker->said, speaker->phase, "taken over");
	keeper_ready();
}

static void start_anew(void)
{
	struct generation_parts parts = {keeper.binary, a->settings, a->bundle};
	struct generation *g = generation_start(&parts, GENERATION_ACTIVE);

	upgrade_resolve(0);
	if (g)
		keeper.active = g->number;
	else
		keeper_end(KEEPER_EXIT_OS);
}

static void settle(double now)
{
	uint32_t generation = choose();
	bool all = all_came();

	if (!generation && a->kept != VERB_NONE) {
		a->waiting = false; /* attach_end ends those who have not come */
		keeper_end(all ? 0 : KEEPER_EXIT_EXPIRED);
		return;
	}
	if (!generation && !all && now < a->hung_at + ATTACH_WAIT) {
		for (uint32_t i = 0; i < a->nnamed && now >= a->hung_at; i++)
			if (!has_come(&a->named[i]))
				kill_silent(&a->named[i]);
		return;
	}
	a->waiting = false;
	if (generation)
		take_over(generation, now);
	else
		start_anew();
	fd_close(&a->settings);
	fd_close(&a->bundle);
	if (a->nnamed)
		FAILPOINT("keeper-adopted");
	if (a->kept != VERB_NONE)
		signals_run_kept(a->kept);
}

void attach_begin(int settings, int bundle)
{
	double hung = keeper.settings.worker_timeout;
	double now = clock_monotonic();

	a->settings = fcntl(settings, F_DUPFD_CLOEXEC, 3);
	a->bundle = fcntl(bundle, F_DUPFD_CLOEXEC, 3);
	a->waiting = true;
	a->due = now + ATTACH_WAIT;
	a->hung_at = now + (hung > ATTACH_WAIT ? hung : hung < 0 ? 3600 : ATTACH_WAIT);
	keeper.dirty = true;
	if (a->nnamed)
		log_info("%u worker%s of a keeper that died: waiting for them", a->nnamed,
		    a->nnamed == 1 ? "" : "s");
	else
		settle(now);
}

void attach_end(void)
{
	for (uint32_t i = 0; i < a->nnamed; i++)
		if (!has_come(&a->named[i]))
			kill_silent(&a->named[i]);
	a->nnamed = 0;
}

double attach_settle_clock(double now)
{
	if (a->waiting && (now >= a->due || all_came()))
		settle(now);
	if (a->gaps)
		fill_gaps(now);
	return a->waiting || a->gaps ? now + LOOK_EVERY : KEEPER_NEVER;
}

size_t attach_state_lines(char *to, size_t size)
{
	size_t n = 0;

	for (uint32_t i = 0; i < a->nnamed && n < size; i++) {
		const struct orphan *o = &a->named[i];

		const struct worker *w = worker_of(o->generation, o->number);

		if ((w && w->pid == o->pid) || !still_lives(o))
			continue;
		n += (size_t)snprintf(to + n, size - n, "worker %u %u %d %llu unknown 0\n",
		    o->generation, o->number, (int)o->pid, o->ticks);
	}
	return n < size ? n : size;
}
