/* The commit: one generation yields, another takes.
 *
 *   YIELD  `from` shuts its gates on what `to` has claimed, stops its singletons, saves its state
 *   TAKE   `to` gets that state and listens on what is new
 *   record keeper.active changes; from here on the other one is the service
 *   then   `to` opens its gates ("activate"), `from` drains ("yielded") or ends ("retire")
 *
 * 2 s for each step. Until the record a failure, a timeout or a cancel lets `from` go on ("resume")
 * and harms nobody: connects wait in the queue. A commit back (rollback) cannot fail: who does not
 * answer in time is passed over, and `to` goes on with what it had. */
#include "proc/table.h"

#include <sys/mman.h>

#define STEP_LIMIT 2.0

static struct commit *const c = &keeper.commit;

static const char *step_name(void)
{
	return c->step == COMMIT_YIELD ? "yield" : "take";
}

static uint32_t asked(void)
{
	return c->step == COMMIT_YIELD ? c->from : c->to;
}

static void tell(uint32_t generation, const char *step, uint32_t other, int fd)
{
	FOR_WORKERS (w)
		if (w->generation == generation && w->state == WORKER_UP)
			worker_tell(w, IPC_COMMIT, c->id, fd < 0 ? "su" : "sud", step, other, fd);
}

static void ask(enum commit_step step, uint32_t other, int fd)
{
	c->step = step;
	c->id = ++keeper.next_id;
	c->due = clock_monotonic() + STEP_LIMIT;
	tell(asked(), step_name(), other, fd);
}

static bool all_acked(void)
{
	FOR_WORKERS (w)
		if (w->generation == asked() && w->state == WORKER_UP && !w->aborted &&
		    w->acked != c->id)
			return false;
	return true;
}

static void end(void)
{
	c->step = COMMIT_NONE;
	fd_close(&c->blob);
}

bool commit_holds(uint32_t generation)
{
	return c->step != COMMIT_NONE && generation == c->from;
}

void commit_cancel(void)
{
	if (c->step == COMMIT_NONE)
		return;
	tell(c->from, "resume", c->to, -1);
	end();
}

static void fail(const char *why)
{
	commit_cancel();
	upgrade_fail(why);
}

/* What the config of the new generation says is in force, but for what cannot change. */
static void take_settings(const struct generation *to)
{
	struct settings s = to->settings;

	bundle_keep_fixed(&s);
	keeper.settings = s;
}

static void record(void)
{
	struct generation *from = generation_of(c->from), *to = generation_of(c->to);
	double pause = clock_monotonic() - c->shut_at;

	keeper.active = to->number;
	to->role = GENERATION_ACTIVE;
	to->hammer_at = KEEPER_NEVER;
	if (from)
		from->role = c->back ? GENERATION_RETIRING : GENERATION_YIELDED;
	take_settings(to);
	state_write();
	FAILPOINT("keeper-record");
	tell(c->to, "activate", c->from, -1);
	FAILPOINT("keeper-activate");
	tell(c->from, "yielded", c->to, -1);
	FOR_WORKERS (w)
		if (w->generation == c->from && w->state == WORKER_WAITING)
			w->state = WORKER_ENDED; /* one that crashed meanwhile is not needed */
	if (c->back)
		worker_bring_back(); /* but it is now, if its generation takes back */
	log_info("commit: generation %u is active, %u %s; nobody accepted for %.1f ms", c->to,
	    c->from, c->back ? "ends" : "drains", pause * 1000);
	end();
	upgrade_committed(pause);
}

static void advance(void)
{
	if (c->step == COMMIT_NONE || !all_acked())
		return;
	if (c->step == COMMIT_YIELD) {
		FAILPOINT("keeper-take");
		ask(COMMIT_TAKE, c->from, c->blob);
		advance();
	} else if (generation_answers(c->to)) {
		record();
	} else {
		fail("the new generation has gone");
	}
}

/* One that is being restarted has accepted nothing yet; it waits for the outcome. */
static void stop_restarts(uint32_t generation)
{
	FOR_WORKERS (w)
		if (w->generation == generation && w->state == WORKER_STARTING)
			spawn_kill(w->pidfd, SIGKILL);
}

/* Sealed memfd with a name a line: what `from` uses and `to` does not. */
static int own_names(uint32_t from, uint32_t to)
{
	int fd = memfd_create("gadwall-names", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	for (uint32_t i = 0; i < KEEPER_HELD && fd >= 0; i++) {
		const struct held *h = &keeper.held[i];
		size_t n = strlen(h->name);

		if (h->fd < 0 || !(h->users & held_bit(from)) || (h->users & held_bit(to)))
			continue;
		if (write(fd, h->name, n) != (ssize_t)n || write(fd, "\n", 1) != 1)
			fd_close(&fd);
	}
	if (fd >= 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK) < 0)
		fd_close(&fd);
	return fd;
}

void commit_begin(uint32_t from, uint32_t to, bool back)
{
	int names = back ? -1 : own_names(from, to);

	*c = (struct commit){.from = from, .to = to, .back = back, .blob = -1};
	c->shut_at = clock_monotonic();
	FAILPOINT("keeper-yield");
	ask(COMMIT_YIELD, to, names);
	fd_close(&names);
	stop_restarts(from);
	advance();
}

/* One that belongs to the step under way. */
static void take_ack(struct worker *w, bool ok, const char *text)
{
	char why[200];

	w->acked = c->id;
	snprintf(why, sizeof why, "worker g%u.%u cannot %s: %.140s", w->generation, w->number,
	    step_name(), text);
	if (ok) {
		advance();
	} else if (c->back) {
		log_warn("rollback: %s; it goes on without", why);
		advance();
	} else {
		fail(why);
	}
}

bool commit_acked(struct worker *w, struct ipc_message *m)
{
	char text[IPC_TEXT_MAX + 1];
	uint32_t ok;
	int blob = ipc_give_fd(m, 0);
	bool good = ipc_unpack(m, "us", &ok, text, sizeof text);
	bool late = c->step == COMMIT_NONE || m->header.id != c->id || w->generation != asked();

	if (good && !late && c->step == COMMIT_YIELD && c->blob < 0)
		fd_swap(&c->blob, &blob);
	fd_close(&blob);
	if (good && !late)
		take_ack(w, ok != 0, text);
	return good;
}

void commit_lost_worker(const struct worker *w)
{
	if (c->step == COMMIT_NONE)
		return;
	if (w->generation == c->to && !c->back)
		fail("a worker of the new generation has died");
	else if (w->generation == c->from || w->generation == c->to)
		advance();
}

double commit_clock(double now)
{
	char why[80];

	if (c->step == COMMIT_NONE)
		return KEEPER_NEVER;
	if (now < c->due)
		return c->due;
	snprintf(why, sizeof why, "generation %u did not %s within %.0f s", asked(), step_name(),
	    STEP_LIMIT);
	if (!c->back) {
		fail(why);
	} else {
		log_warn("rollback: %s; it goes on without", why);
		FOR_WORKERS (w)
			if (w->generation == asked())
				w->acked = c->id;
		advance();
	}
	return c->step == COMMIT_NONE ? KEEPER_NEVER : c->due;
}
