#include "proc/bundle.h"

#include "proc/table.h"

/* A worker that has not applied a new config after this time is no longer waited for (s). */
#define APPLY_LIMIT 30.0

static struct reader *const r = &keeper.reader;

/* What each worker still owes of the newest bundle, by its place in keeper.workers. The keeper does
 * not change itself meanwhile (bundle_is_under_way), so this goes to no other binary. */
static struct debt {
	bool unsent; /* its channel was full */
	bool applies;
} debts[KEEPER_WORKERS];

void bundle_keep_fixed(struct settings *s)
{
	const struct settings *old = &keeper.settings;

	memcpy(s->runtime_path, old->runtime_path, sizeof s->runtime_path);
	memcpy(s->pidfile, old->pidfile, sizeof s->pidfile);
}

const char *bundle_fixed_note(const struct generation *g)
{
	bool same = !g || strcmp(g->settings.pidfile, keeper.settings.pidfile) == 0;

	return same ? "" : "; pidfile has changed and needs a stop and a new start";
}

/* What cannot change in a reload keeps its value; the log says so. */
static void keep_fixed(struct settings *s)
{
	const struct settings *old = &keeper.settings;

	if (strcmp(s->runtime_path, old->runtime_path) != 0 ||
	    strcmp(s->pidfile, old->pidfile) != 0 || s->uid != old->uid || s->gid != old->gid ||
	    s->workers != old->workers)
		log_warn("reload: user, group and workers keep their old values until an upgrade, "
			 "pidfile and runtime_path until the next start");
	bundle_keep_fixed(s);
	s->uid = old->uid;
	s->gid = old->gid;
	s->workers = old->workers;
}

static struct debt *debt_of(const struct worker *w)
{
	return &debts[w - keeper.workers];
}

bool bundle_unsent(const struct worker *w)
{
	return debt_of(w)->unsent;
}

void bundle_send(struct worker *w)
{
	const struct generation *g = generation_of(w->generation);
	static struct ipc_message m;

	if (w->channel < 0 || w->held_next < KEEPER_HELD)
		return;
	ipc_pack(&m, IPC_BUNDLE, r->applying, "dd", g->parts.settings, g->parts.bundle);
	debt_of(w)->unsent = !worker_send(w, &m);
}

static void tell(const struct generation *g)
{
	double now = clock_monotonic();

	r->applying = ++keeper.next_id;
	r->appliers = 0;
	r->apply_due = now + APPLY_LIMIT;
	FOR_WORKERS (w) {
		bool told = w->generation == g->number && worker_lives(w);

		*debt_of(w) = (struct debt){told, told};
		if (!told)
			continue;
		r->appliers++;
		w->beat = now; /* the interval since the last may have been longer */
		if (!w->waiting)
			bundle_send(w);
	}
}

void bundle_take(struct settings *s)
{
	struct generation *g = generation_of(keeper.active);

	keep_fixed(s);
	keeper.settings = g->settings = *s;
	fd_swap(&g->parts.settings, &r->settings);
	fd_swap(&g->parts.bundle, &r->bundle);
	tell(g);
	worker_retry_all();
}

void bundle_look(void)
{
	if (r->applying && r->appliers > 0)
		return;
	r->applying = 0;
	if (!r->pid && !keeper.stopping)
		notify_state("READY=1");
}

static void pay(const struct worker *w)
{
	bool owed = debt_of(w)->applies;

	debt_of(w)->applies = false;
	if (!r->applying || !owed)
		return;
	r->appliers--;
	bundle_look();
}

void bundle_applied(const struct worker *w, uint32_t id)
{
	if (id == r->applying)
		pay(w);
}

/* Its successor gets the newest bundle by HELLO, and counts its requests from 1: an answer to one
 * of this worker would be taken for another's. */
void bundle_lost(const struct worker *w)
{
	debt_of(w)->unsent = false;
	pay(w);
	if (r->generation == w->generation && r->worker == w->number)
		r->request = 0;
}

bool bundle_is_under_way(void)
{
	return r->applying != 0;
}

double bundle_clock(double now)
{
	if (r->applying && now >= r->apply_due) {
		log_warn("reload: not every worker has applied the new config");
		r->appliers = 0;
		bundle_look();
	}
	return r->applying ? r->apply_due : KEEPER_NEVER;
}
