/* The upgrade: a new binary and config in place of the running ones, with nothing lost.
 *
 *   (none) ──> check ──> spawn ──> load ──> ready ──> commit ──> probation ──> (none), the older
 *                │         │        │         │         │            │          one retires
 *                └─────────┴────────┴─────────┴─────────┘            v
 *                          failed: nothing has changed          rolled-back
 *
 *   check      the binary is opened once, its reader runs the config          [begin, upgrade_read]
 *   spawn      room is made, the new generation's first worker is started     [spawn]
 *   load       it has said its first word; it loads with its gates shut       [upgrade_heard]
 *   ready      all its workers are READY                                      [upgrade_ready]
 *   commit     commit.c; the record in it is the one point of no return       [upgrade_committed]
 *   probation  the old one drains with its gates shut; death, a missed beat or a failing check of
 *              the new one make it take back                             [upgrade_lost_worker]
 *
 * check has the reader's limit, spawn to ready together upgrade_timeout, commit 4 s, probation
 * upgrade_probation. Before the record the new generation is killed on failure and the old one
 * never knew; a stop or finish does the same. Nothing here waits: each deadline is in `due`.
 * Whether one may begin, and with which file: upgrade_rules.c. */
#include "proc/table.h"

/* The reader ends after 12 s; a reload's that runs may have to end before it begins (s). */
#define CHECK_LIMIT 26.0

static struct upgrade *const u = &keeper.upgrade;

static const char *const state_names[UPGRADE_STATES] = {
    "none", "check", "spawn", "load", "ready", "commit", "probation"};

const char *upgrade_state_name(enum upgrade_state state)
{
	return state < UPGRADE_STATES ? state_names[state] : "?";
}

/* ---- telling ---- */

void upgrade_tell(struct worker *w)
{
	double now = clock_monotonic();
	bool runs = u->state != UPGRADE_NONE;
	char reason[256]; /* older workers take no more */

	snprintf(reason, sizeof reason, "%s", u->reason);
	worker_tell(w, IPC_UPGRADE, u->number, "suuffsssfffuuu", upgrade_state_name(u->state),
	    u->from, u->target, runs ? now - u->started : 0.0,
	    runs && u->due != KEEPER_NEVER ? u->due - now : -1.0, u->outcome, u->at_state, reason,
	    u->ended_at, u->seconds, u->pause, u->committed, u->failed, u->rolled_back);
}

void upgrade_tell_previous(struct worker *w)
{
	const struct generation_parts *p = &keeper.previous;

	if (p->binary < 0)
		return;
	worker_tell(w, IPC_PREVIOUS, 0, "dd", p->settings, p->bundle);
	worker_tell(w, IPC_PREVIOUS_PROGRAM, 0, "d", p->binary);
}

static void tell_all(void)
{
	FOR_WORKERS (w)
		if (w->state == WORKER_UP)
			upgrade_tell(w);
	keeper.dirty = true;
}

/* The one setter. `limit`: seconds until the state is judged; below 0: the deadline stays. */
static void enter(enum upgrade_state state, double limit)
{
	static const char *const failpoints[UPGRADE_STATES] = {[UPGRADE_CHECK] = "keeper-check",
	    [UPGRADE_SPAWN] = "keeper-upgrade-spawn",
	    [UPGRADE_LOAD] = "keeper-load",
	    [UPGRADE_READY] = "keeper-upgrade-ready",
	    [UPGRADE_COMMIT] = "keeper-commit",
	    [UPGRADE_PROBATION] = "keeper-probation"};

	log_info("upgrade %u: %s -> %s", u->number, upgrade_state_name(u->state),
	    upgrade_state_name(state));
	u->state = state;
	if (limit >= 0)
		u->due = clock_monotonic() + limit;
	if (failpoints[state])
		FAILPOINT(failpoints[state]);
	tell_all();
}

void upgrade_note(const char *text)
{
	static const char between[] = "; the keeper ";
	char *end = strstr(u->reason, between);

	if (u->state != UPGRADE_NONE || !u->outcome[0])
		return;
	if (!end)
		end = u->reason + strlen(u->reason);
	snprintf(end, sizeof u->reason - (size_t)(end - u->reason), "%s%s", between, text);
	tell_all();
}

/* RESULT for one who waits; a check that failed sends the reader's faults along. */
static void reply(struct upgrade_asker *a, bool ok, const char *text)
{
	struct worker *w = a->request ? worker_of(a->generation, a->worker) : NULL;
	int faults = u->state == UPGRADE_CHECK ? keeper.reader.faults : -1;

	if (w)
		worker_tell(w, IPC_RESULT, a->request, faults < 0 ? "us" : "usd", ok, text, faults);
	a->request = 0;
}

/* The end of an upgrade, however it ended. */
static void finish(const char *outcome, bool ok, const char *reason)
{
	char text[400];

	snprintf(u->at_state, sizeof u->at_state, "%s", upgrade_state_name(u->state));
	snprintf(u->outcome, sizeof u->outcome, "%s", outcome);
	snprintf(u->reason, sizeof u->reason, "%s", reason);
	log_clean(u->reason, ' ', ' ');
	u->ended_at = clock_realtime();
	u->seconds = clock_monotonic() - u->started;
	snprintf(text, sizeof text, "%s in %s: %s", outcome, u->at_state, u->reason);
	log_write(ok ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR, "upgrade %u: %s", u->number, text);
	reply(&u->asker, ok, ok ? u->reason : text);
	reply(&u->back_asker, u->back, text);
	u->state = UPGRADE_NONE;
	u->back = u->reading = false;
	u->due = KEEPER_NEVER;
	parts_close(&u->parts);
	notify_state("READY=1");
	tell_all();
}

/* Before the record: the new generation goes, nothing else has changed. */
void upgrade_fail(const char *why)
{
	struct generation *g = generation_of(u->target);

	commit_cancel();
	if (g)
		generation_kill(g, why);
	u->failed++;
	finish("failed", false, why);
}

/* ---- check ---- */

/* A reload's reader may still run; upgrade_clock tries again when it has ended. */
static void read_config(void)
{
	const char *file = u->config_file[0] ? u->config_file : NULL;

	if (reload_read_for_upgrade(u->parts.binary, file) == 0)
		u->reading = true;
	else if (errno != EBUSY)
		upgrade_fail(strerror(errno));
}

static struct upgrade_asker asker_of(const struct worker *w, uint32_t id)
{
	struct upgrade_asker a = {0};

	if (w)
		a = (struct upgrade_asker){w->generation, w->number, id};
	return a;
}

static void begin(struct worker *w, uint32_t id)
{
	u->number++;
	u->from = keeper.active;
	u->target = 0;
	u->pause = 0;
	u->back = u->reading = u->dry_run = false;
	u->started = clock_monotonic();
	u->config_file[0] = '\0';
	u->asker = asker_of(w, id);
	u->back_asker = asker_of(NULL, 0);
	parts_close(&u->parts);
	notify_reloading();
	enter(UPGRADE_CHECK, CHECK_LIMIT);
}

/* ---- requests ---- */

/* The value of line `key` of a request's text, or "". */
static void get_line(const char *text, const char *key, char *to, size_t size)
{
	size_t n = strlen(key);

	to[0] = '\0';
	for (const char *p = text; p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (strncmp(p, key, n) == 0 && p[n] == '=')
			snprintf(to, size, "%.*s", (int)strcspn(p + n + 1, "\n"), p + n + 1);
	}
}

const char *upgrade_request(struct worker *w, uint32_t id, const char *text)
{
	char binary[SETTINGS_PATH], config[SETTINGS_PATH], why[160];
	const char *no = upgrade_refusal();

	if (no)
		return no;
	get_line(text, "binary", binary, sizeof binary);
	get_line(text, "config", config, sizeof config);
	if ((binary[0] || config[0]) && geteuid() == 0)
		return "a root keeper takes no path from a worker: set upgrade_binary in the "
		       "config";
	if ((binary[0] && binary[0] != '/') || (config[0] && config[0] != '/'))
		return "not an absolute path";
	begin(w, id);
	u->dry_run = strstr(text, "check\n") != NULL;
	memcpy(u->config_file, config, sizeof config);
	u->parts.binary = upgrade_open_binary(binary, why, sizeof why);
	if (u->parts.binary < 0)
		upgrade_fail(why);
	else
		read_config();
	return NULL;
}

/* ---- spawn to ready ---- */

/* At the cap the oldest one has to go, and the upgrade waits for that. */
static bool has_room(void)
{
	struct generation *oldest = generation_oldest();

	if (generation_count() < keeper.settings.max_generations)
		return true;
	if (oldest && !oldest->told_to_end) {
		oldest->told_to_end = true;
		generation_retire(oldest, true);
	}
	return false;
}

static void spawn(void)
{
	struct generation *g;

	if (u->target || !has_room())
		return;
	g = generation_start(&u->parts, GENERATION_JOINING);
	if (!g) {
		upgrade_fail("no room for another generation");
		return;
	}
	u->target = g->number;
	log_info("upgrade %u: generation %u is started", u->number, g->number);
	tell_all();
}

static void enter_spawn(void)
{
	enter(UPGRADE_SPAWN, keeper.settings.upgrade_timeout);
	spawn();
}

void upgrade_read(const char *why)
{
	static struct settings s;

	if (!u->reading)
		return; /* the upgrade that it was for has been aborted */
	u->reading = false;
	if (!why)
		why = keeper.reader.bundle < 0 ? "the reader handed nothing over"
					       : settings_read(keeper.reader.settings, &s);
	if (!why && strcmp(s.runtime_path, keeper.settings.runtime_path) != 0)
		why = "runtime_path cannot change in an upgrade: it needs a stop and a new start";
	if (why) {
		upgrade_fail(why);
		return;
	}
	fd_swap(&u->parts.settings, &keeper.reader.settings);
	fd_swap(&u->parts.bundle, &keeper.reader.bundle);
	enter_spawn();
}

void upgrade_heard(const struct worker *w)
{
	if (u->state == UPGRADE_SPAWN && w->generation == u->target)
		enter(UPGRADE_LOAD, -1);
}

void upgrade_ready(const struct generation *g)
{
	if (g->number != u->target || (u->state != UPGRADE_LOAD && u->state != UPGRADE_SPAWN))
		return;
	enter(UPGRADE_READY, -1);
	if (u->dry_run) {
		struct generation *target = generation_of(u->target);

		generation_kill(target, "a dry run ends before the commit");
		finish("checked", true, "the new generation was ready; nothing has changed");
		return;
	}
	enter(UPGRADE_COMMIT, -1);
	commit_begin(u->from, u->target, false);
}

/* ---- commit to the end ---- */

static void retire_other(uint32_t number)
{
	struct generation *g = generation_of(number);

	if (g)
		generation_retire(g, false);
}

/* The new generation stays: what it has replaced is what a rollback runs from now on. One that is
 * taken back in probation leaves the rollback's choice as it was. */
static void keep_previous(void)
{
	fd_swap(&keeper.previous.binary, &u->parts.binary);
	fd_swap(&keeper.previous.settings, &u->parts.settings);
	fd_swap(&keeper.previous.bundle, &u->parts.bundle);
	FOR_WORKERS (w)
		if (w->state == WORKER_UP)
			upgrade_tell_previous(w);
}

/* Probation is over, and it was good. */
static void settle(void)
{
	char text[200];

	keep_previous();
	if (u->config_file[0])
		memcpy(keeper.config_file, u->config_file, sizeof keeper.config_file);
	u->committed++;
	snprintf(text, sizeof text, "generation %u is active, nobody accepted for %.1f ms%s",
	    u->target, u->pause * 1000, bundle_fixed_note(generation_of(u->target)));
	finish("committed", true, text);
	retire_other(u->from);
	reexec_want(false);
}

void upgrade_committed(double pause)
{
	char text[400];

	if (!u->back) {
		u->pause = pause;
		parts_copy(&u->parts, &generation_of(u->from)->parts);
		enter(UPGRADE_PROBATION, keeper.settings.upgrade_probation);
		if (keeper.settings.upgrade_probation <= 0)
			settle();
		return;
	}
	snprintf(text, sizeof text, "generation %u is active again: %.300s", u->from, u->reason);
	u->rolled_back++;
	finish("rolled-back", false, text);
	retire_other(u->target);
}

static void take_back(const char *why)
{
	u->back = true;
	snprintf(u->reason, sizeof u->reason, "%s", why);
	u->due = KEEPER_NEVER; /* the commit has its own */
	log_warn("upgrade %u: generation %u takes back: %s", u->number, u->from, why);
	FAILPOINT("keeper-rollback");
	commit_begin(u->target, u->from, true);
}

void upgrade_lost_worker(const struct worker *w, const char *how)
{
	char why[360];

	snprintf(why, sizeof why, "worker g%u.%u: %.300s", w->generation, w->number, how);
	if (u->state == UPGRADE_NONE)
		return;
	if (u->state == UPGRADE_COMMIT) {
		commit_lost_worker(w);
	} else if (w->generation != u->target) {
		return;
	} else if (u->state == UPGRADE_PROBATION) {
		if (u->back)
			commit_lost_worker(w);
		else if (generation_answers(u->from))
			take_back(why);
		else
			settle(); /* nobody could take back: an ordinary crash */
	} else {
		upgrade_fail(why);
	}
}

void upgrade_abandon(const char *why)
{
	if (u->state == UPGRADE_NONE)
		return;
	if (u->state != UPGRADE_PROBATION) {
		upgrade_fail(why);
		return;
	}
	/* both generations hear the stop; there is nothing left to prove */
	keep_previous();
	u->committed++;
	finish("committed", true, "the stop ends the probation");
}

/* ---- rollback ---- */

const char *upgrade_rollback(struct worker *w, uint32_t id)
{
	const char *no;

	if (u->state == UPGRADE_PROBATION && !u->back && !keeper.stopping) {
		if (!generation_answers(u->from))
			return "the previous generation has gone";
		u->back_asker = asker_of(w, id);
		take_back("asked for");
		return NULL;
	}
	if (u->state != UPGRADE_NONE && u->state != UPGRADE_PROBATION) {
		upgrade_fail("aborted");
		if (w)
			worker_tell(w, IPC_RESULT, id, "us", 1,
			    "the upgrade is aborted, nothing has changed");
		return NULL;
	}
	no = upgrade_refusal();
	if (no)
		return no;
	if (keeper.previous.binary < 0)
		return "no previous binary is known";
	begin(w, id);
	parts_copy(&u->parts, &keeper.previous);
	enter_spawn();
	return NULL;
}

/* ---- clock ---- */

void upgrade_restart_clocks(double late)
{
	if (u->due != KEEPER_NEVER)
		u->due += late;
	keeper.commit.due += late;
	for (int i = 0; i < KEEPER_GENERATIONS; i++)
		if (keeper.generations[i].hammer_at != KEEPER_NEVER)
			keeper.generations[i].hammer_at += late;
}

double upgrade_clock(double now)
{
	char why[80];

	if (u->state == UPGRADE_NONE)
		return KEEPER_NEVER;
	if (u->state == UPGRADE_CHECK && !u->reading && !keeper.reader.pid)
		read_config();
	if (u->state == UPGRADE_SPAWN)
		spawn();
	if (u->state == UPGRADE_NONE || u->state == UPGRADE_COMMIT || now < u->due)
		return u->state == UPGRADE_COMMIT ? KEEPER_NEVER : u->due;
	if (u->state == UPGRADE_PROBATION) {
		settle();
	} else {
		snprintf(why, sizeof why, "not over in %s after %.1f s",
		    upgrade_state_name(u->state), now - u->started);
		upgrade_fail(why);
	}
	return u->due;
}
