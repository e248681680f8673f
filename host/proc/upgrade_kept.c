/* What outlives a keeper that dies: the number of its upgrades and how the last one ended, in
 * RUNTIME/state; one that it did not end is judged by who is the service now. The previous binary,
 * which a rollback runs, comes back from the workers (IPC_PREVIOUS). */
#include "proc/table.h"

/* What stands for "" in the line. */
#define NONE "-"
/* Until upgrade_resolve: what an upgrade that was under way has as outcome. */
#define OPEN "open"

static struct upgrade *const u = &keeper.upgrade;

static const char *word(const char *text)
{
	return text[0] ? text : NONE;
}

size_t upgrade_state_line(char *to, size_t size)
{
	bool runs = u->state != UPGRADE_NONE;
	int n;

	if (u->number == 0)
		return 0;
	n = snprintf(to, size, "upgrade %u %u %u %u %u %u %.17g %.17g %.17g %s %s %s\n", u->number,
	    u->from, u->target, u->committed, u->failed, u->rolled_back, u->ended_at,
	    runs ? clock_monotonic() - u->started : u->seconds, u->pause,
	    runs ? OPEN : word(u->outcome), runs ? upgrade_state_name(u->state) : word(u->at_state),
	    runs ? NONE : word(u->reason));
	return n > 0 && (size_t)n < size ? (size_t)n : 0;
}

static void keep_word(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", strcmp(from, NONE) == 0 ? "" : from);
}

void upgrade_read_line(const char *text, bool orphans)
{
	struct upgrade old = {.number = 0};
	char outcome[sizeof u->outcome], at_state[sizeof u->at_state];
	int reason = 0;

	if (sscanf(text, "%u %u %u %u %u %u %lf %lf %lf %15s %15s %n", &old.number, &old.from,
		&old.target, &old.committed, &old.failed, &old.rolled_back, &old.ended_at,
		&old.seconds, &old.pause, outcome, at_state, &reason) != 11 ||
	    reason == 0)
		return;
	u->number = old.number;
	u->from = old.from;
	u->target = old.target;
	u->ended_at = old.ended_at;
	u->seconds = old.seconds;
	u->pause = old.pause;
	keep_word(u->outcome, sizeof u->outcome, outcome);
	keep_word(u->at_state, sizeof u->at_state, at_state);
	snprintf(
	    u->reason, sizeof u->reason, "%.*s", (int)strcspn(text + reason, "\n"), text + reason);
	if (strcmp(u->reason, NONE) == 0)
		u->reason[0] = '\0';
	if (!orphans)
		return; /* another host: it counts anew */
	u->committed = old.committed;
	u->failed = old.failed;
	u->rolled_back = old.rolled_back;
}

/* The generation that it has replaced is what a rollback runs: had the probation ended, the old
 * keeper would have kept that. */
static void keep_replaced(void)
{
	const struct generation *from = generation_of(u->from);

	if (from)
		parts_copy(&keeper.previous, &from->parts);
}

static void judge(uint32_t active)
{
	bool committed = active && active == u->target;

	u->committed += committed;
	u->failed += !committed;
	if (committed)
		keep_replaced();
	snprintf(u->outcome, sizeof u->outcome, "%s", committed ? "committed" : "failed");
	snprintf(u->reason, sizeof u->reason,
	    committed ? "the keeper died; generation %u is active"
		      : "the keeper died; generation %u goes on",
	    active);
	if (!active)
		snprintf(u->reason, sizeof u->reason, "the keeper died, and the host with it");
	u->ended_at = clock_realtime();
	log_write(committed ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR, "upgrade %u: %s in %s: %s",
	    u->number, u->outcome, u->at_state, u->reason);
	keeper.dirty = true;
}

void upgrade_resolve(uint32_t active)
{
	if (strcmp(u->outcome, OPEN) == 0)
		judge(active);
	FOR_WORKERS (w)
		if (u->number && w->state == WORKER_UP)
			upgrade_tell(w);
}
