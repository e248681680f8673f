/* Generations: a number, a binary, settings and a bundle, and the workers that run the three.
 *
 *   JOINING ──commit──> ACTIVE ──commit of a younger one──> YIELDED ──> RETIRING ──> (free)
 *      │                  ^                                    │
 *      v failure          └──────────── rollback ──────────────┘
 *   DOOMED ──> (free)
 *
 * Several may retire at one time, one is active, at most one joins or has yielded. */
#include "proc/table.h"

/* One whose time is over has this long for its goodbyes (s). */
#define LAST_WORDS 5.0

/* ---- parts ---- */

void parts_init(struct generation_parts *parts)
{
	*parts = (struct generation_parts){-1, -1, -1};
}

void parts_close(struct generation_parts *parts)
{
	fd_close(&parts->binary);
	fd_close(&parts->settings);
	fd_close(&parts->bundle);
}

void parts_copy(struct generation_parts *to, const struct generation_parts *from)
{
	struct generation_parts copy = {.binary = fcntl(from->binary, F_DUPFD_CLOEXEC, 3),
	    .settings = fcntl(from->settings, F_DUPFD_CLOEXEC, 3),
	    .bundle = fcntl(from->bundle, F_DUPFD_CLOEXEC, 3)};

	parts_close(to);
	*to = copy;
}

/* ---- looking ---- */

struct generation *generation_of(uint32_t number)
{
	for (int i = 0; i < KEEPER_GENERATIONS; i++)
		if (number && keeper.generations[i].number == number)
			return &keeper.generations[i];
	return NULL;
}

static struct generation *free_place(void)
{
	for (int i = 0; i < KEEPER_GENERATIONS; i++)
		if (!keeper.generations[i].number)
			return &keeper.generations[i];
	return NULL;
}

unsigned generation_count(void)
{
	unsigned n = 0;

	for (int i = 0; i < KEEPER_GENERATIONS; i++)
		n += keeper.generations[i].number != 0;
	return n;
}

struct generation *generation_oldest(void)
{
	struct generation *oldest = NULL;

	for (int i = 0; i < KEEPER_GENERATIONS; i++) {
		struct generation *g = &keeper.generations[i];

		if (g->number && g->role == GENERATION_RETIRING &&
		    (!oldest || g->number < oldest->number))
			oldest = g;
	}
	return oldest;
}

bool generation_answers(uint32_t number)
{
	FOR_WORKERS (w)
		if (w->generation == number && w->state == WORKER_UP && !w->aborted)
			return true;
	return false;
}

/* ---- beginning ---- */

static void place_workers(const struct generation *g)
{
	uint32_t number = 0;

	FOR_WORKERS (w) {
		if (w->state != WORKER_NONE || number == g->settings.workers)
			continue;
		worker_slot_init(w, g->number, ++number);
		/* the others inherit what the first has bound */
		w->restart_at = number == 1 ? 0 : KEEPER_NEVER;
	}
}

/* Its settings are read already. */
static void fill(struct generation *g, uint32_t number, const struct generation_parts *parts)
{
	g->number = number;
	g->hammer_at = KEEPER_NEVER;
	g->was_ready = g->told_to_end = false;
	parts_init(&g->parts);
	parts_copy(&g->parts, parts);
}

struct generation *generation_start(const struct generation_parts *parts, enum generation_role role)
{
	struct generation *g = free_place();

	if (!g || settings_read(parts->settings, &g->settings) != NULL)
		return NULL;
	fill(g, ++keeper.highest, parts);
	g->role = role;
	place_workers(g);
	return g;
}

const char *generation_adopt(uint32_t number, const struct generation_parts *parts)
{
	struct generation *g = free_place();
	const char *why = g ? settings_read(parts->settings, &g->settings) : "too many generations";

	if (why)
		return why;
	fill(g, number, parts);
	g->role = GENERATION_RETIRING;
	return NULL;
}

void generation_worker_ready(const struct worker *w)
{
	struct generation *g = generation_of(w->generation);
	bool all = true;

	keeper.dirty = true;
	if (keeper.failed && g->number == keeper.active) {
		keeper.failed = false;
		keeper_enter(w->said, w->phase, "a worker is ready again");
	}
	FOR_WORKERS (o) {
		if (o->generation != g->number || o->state == WORKER_NONE || o->was_up)
			continue;
		if (o->restart_at == KEEPER_NEVER)
			o->restart_at = 0;
		all = false;
	}
	if (!all)
		return;
	if (!g->was_ready && g->number == keeper.active && !keeper.stopping)
		keeper_ready();
	g->was_ready = true;
	upgrade_ready(g);
}

/* ---- ending ---- */

bool generation_is_needed(uint32_t number)
{
	const struct generation *g = generation_of(number);
	bool replaced = keeper.upgrade.back && number == keeper.upgrade.target;

	if (g->role == GENERATION_DOOMED || replaced)
		return false;
	return g->role == GENERATION_ACTIVE || keeper.stopping;
}

static void kill_workers(const struct generation *g)
{
	FOR_WORKERS (w)
		if (w->generation == g->number && worker_lives(w))
			worker_kill_group(w);
}

void generation_kill(struct generation *g, const char *why)
{
	log_warn("generation %u: SIGKILL (%s)", g->number, why);
	g->role = GENERATION_DOOMED;
	g->hammer_at = KEEPER_NEVER;
	kill_workers(g);
	FOR_WORKERS (w)
		if (w->generation == g->number && w->state == WORKER_WAITING)
			w->state = WORKER_ENDED;
	keeper.dirty = true;
}

void generation_retire(struct generation *g, bool now)
{
	double hammer = g->settings.hammer_time;

	g->role = GENERATION_RETIRING;
	if (now)
		g->hammer_at = clock_monotonic() + LAST_WORDS;
	else if (hammer >= 0) /* words.c moves it when the worker says how long its idle wait is */
		g->hammer_at = clock_monotonic() + hammer;
	log_info("generation %u %s", g->number,
	    now ? "has to end now: goodbyes, 5 s, SIGKILL" : "retires: it finishes its sessions");
	FAILPOINT("keeper-retire");
	FOR_WORKERS (w) {
		if (w->generation != g->number)
			continue;
		if (w->state == WORKER_WAITING)
			w->state = WORKER_ENDED; /* after the commit nothing of it is started */
		else if (worker_lives(w))
			worker_tell(w, IPC_COMMIT, ++keeper.next_id, "su", now ? "end" : "retire",
			    keeper.active);
	}
	keeper.dirty = true;
}

double generation_clock(double now)
{
	double next = KEEPER_NEVER;

	for (int i = 0; i < KEEPER_GENERATIONS; i++) {
		struct generation *g = &keeper.generations[i];

		if (!g->number)
			continue;
		if (now >= g->hammer_at)
			generation_kill(g, "its time is over");
		if (g->hammer_at < next)
			next = g->hammer_at;
	}
	return next;
}

static bool is_used(const struct generation *g)
{
	FOR_WORKERS (w)
		if (w->generation == g->number && (worker_lives(w) || w->state == WORKER_WAITING))
			return true;
	return g->number == keeper.active;
}

/* WaitForParent, for modules: the younger ones hear that this one has gone. */
static void tell_end(const struct generation *g)
{
	log_info("generation %u has ended", g->number);
	FOR_WORKERS (to)
		if (to->state == WORKER_UP && to->generation > g->number)
			worker_tell(to, IPC_EVENT, 0, "uusuuu", g->number, 0, "gone",
			    (uint32_t)keeper.last_exit, (uint32_t)keeper.last_signal, 0);
}

void generation_release(void)
{
	for (int i = 0; i < KEEPER_GENERATIONS; i++) {
		struct generation *g = &keeper.generations[i];

		if (!g->number || is_used(g))
			continue;
		tell_end(g);
		held_drop(NULL, g->number);
		FOR_WORKERS (w)
			if (w->generation == g->number)
				w->state = WORKER_NONE;
		parts_close(&g->parts);
		g->number = 0;
	}
}
