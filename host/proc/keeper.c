/* The keeper: owns listeners, deadlines, signals, the PID file; starts and ends everything else.
 *
 *   reading ──settings──> starting ──READY of all──> serving | passive <──> draining ──> finishing
 *      │                     │                          │  ^                   │            │
 *      │ faults              │ worker ends, timeout     │  └─ abort, undrain ──┴─<──────────┤
 *      v                     v                          v                                   │
 *    ended 78              ended, its status         stopping <─────────────────────────────┘
 *                                                       │ last worker has left: its status
 *   serving … ──deaths──> failed ──READY──> serving     v hammer: 75, crash: 70
 *                                                     ended
 *
 *   reading  -> starting   [keeper_loaded]       the reader's settings are good, the lock is ours
 *   starting -> serving    [keeper_worker_ready] every worker of generation 1 said READY
 *   any      -> stopping   [begin_stop]          a stop signal or request; clocks count from it
 *   serving <-> draining -> finishing            a worker's STATE; the policy is
 * core/lifecycle.lua's stopping -> serving    [keeper_undo_stop]    a worker's STATE after an abort
 *   any      -> failed     [worker_died]         restart_limit reached and no worker lives
 *   any      -> ended      [keeper_end]
 *
 * A worker:  waiting ──> starting ──READY──> up ──death──> waiting (back-off) | ended (LEAVING,
 * stop) no READY in start_timeout, no beat in worker_timeout: SIGABRT, 2 s later SIGKILL
 *
 * reading   no folder, no lock: nothing is ours yet. Stop: the reader is killed, exit 0.
 * starting  lock, PID file, keeper.sock are ours. A worker's end is the host's end, with its
 * status. serving … a worker's end is a restart. Nothing in here waits: every wait is a deadline in
 * the table. stopping  nothing is started any more; hammer_at bounds it, with hammer_time -1 only
 * `hammer` does.
 *
 * From keeper_loop on: no allocation, no stdio, no Lua, no libev, no resolver; all memory is
 * `keeper`. */
#include "proc/keeper.h"

#include "base/title.h"
#include "proc/start_detach.h"
#include "proc/table.h"

#include <math.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>

struct keeper keeper;

/* ---- states ---- */

void keeper_enter(enum host_state state, const char *phase, const char *reason)
{
	enum host_state old = keeper.state;

	if (state == old && strcmp(phase, keeper.phase) == 0)
		return;
	keeper.state = state;
	keeper.since = clock_realtime();
	snprintf(keeper.phase, sizeof keeper.phase, "%s", phase);
	snprintf(keeper.reason, sizeof keeper.reason, "%.60s", reason);
	log_clean(keeper.reason, ' ', ' ');
	if (state != old)
		log_info("%s -> %s%s%s%s", host_state_name(old), host_state_name(state),
		    keeper.reason[0] ? " (" : "", keeper.reason, keeper.reason[0] ? ")" : "");
	if ((state == HOST_STOPPING || state == HOST_FINISHING) && !keeper.told_stopping) {
		keeper.told_stopping = true;
		notify_state("STOPPING=1");
	}
	keeper.dirty = true;
}

void keeper_undo_stop(void)
{
	keeper.stopping = keeper.told_stopping = false;
	keeper.stop_count = 0;
	keeper.hammer_at = KEEPER_NEVER;
	keeper.code = 0; /* what ended meanwhile is no outcome: it is started again */
	worker_bring_back();
	notify_state("READY=1");
}

void keeper_end(int code)
{
	if (keeper.ended)
		return;
	keeper.ended = true;
	keeper.code = code;
}

/* gadwall(8), EXIT STATUS: the code of shutdown, then expired, then failed, then clean. */
static int rank(int code)
{
	return code == 0                      ? 0
	       : code == KEEPER_EXIT_SOFTWARE ? 1
	       : code == KEEPER_EXIT_EXPIRED  ? 2
					      : 3;
}

int keeper_worse(int a, int b)
{
	return rank(a) >= rank(b) ? a : b;
}

void keeper_check_end(void)
{
	if (!keeper.stopping)
		return;
	if (keeper.reader.pid && !keeper.loaded) {
		spawn_kill(keeper.reader.pidfd, SIGKILL); /* its death ends the host */
		return;
	}
	FOR_WORKERS (w)
		if (worker_lives(w))
			return;
	keeper_end(keeper.failed ? keeper_worse(keeper.code, KEEPER_EXIT_SOFTWARE) : keeper.code);
}

void keeper_left(const struct worker *w, int code)
{
	if (w->generation != keeper.active && !keeper.stopping)
		return;
	if (!keeper.stopping) {
		/* a foreign driver or os.exit: an orderly end of the whole generation */
		keeper.stopping = true;
		keeper_enter(HOST_STOPPING, "", "a worker left");
		signals_broadcast(VERB_SHUTDOWN, "", "a worker left", true);
	}
	if (keeper.hammered)
		code = KEEPER_EXIT_EXPIRED;
	if (!keeper.abandoned) /* what was never ready has nothing to lose */
		keeper.code = keeper_worse(keeper.code, code);
	keeper_check_end();
}

void keeper_hammer(const char *why)
{
	keeper.hammer_at = KEEPER_NEVER;
	keeper.spares = keeper.state == HOST_FINISHING;
	keeper.hammered = keeper.stopping = true;
	log_error("hammer (%s): SIGKILL for every worker", why);
	keeper_enter(HOST_STOPPING, "hammer", why);
	FOR_WORKERS (w)
		if (worker_lives(w))
			worker_kill_group(w);
	keeper_check_end();
}

void keeper_ready(void)
{
	keeper.ready = true;
	FAILPOINT("keeper-ready");
	if (keeper.state == HOST_STARTING)
		keeper_enter(keeper.passive ? HOST_PASSIVE : HOST_SERVING, "", "ready");
	state_write(); /* whoever is told now may look at once */
	notify_state("READY=1");
	detach_done(0);
	reload_run_kept();
}

/* ---- children ---- */

void keeper_reap(void)
{
	siginfo_t si;

	/* Looked at before it is reaped: while it is a zombie its number is nobody else's. */
	for (;;) {
		si.si_pid = 0;
		if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) < 0 || si.si_pid == 0)
			return;
		if (si.si_pid == keeper.reader.pid)
			reload_died(si.si_status, si.si_code != CLD_EXITED);
		if (si.si_pid == keeper.reexec.pid)
			reexec_tried(si.si_status, si.si_code != CLD_EXITED);
		FOR_WORKERS (w)
			if (w->pid == si.si_pid && !w->adopted)
				worker_died(w, si.si_status, si.si_code != CLD_EXITED);
		children_reaping(si.si_pid);
		(void)waitid(P_PID, (id_t)si.si_pid, &si, WEXITED | WNOHANG);
	}
}

/* ---- the loop ---- */

void keeper_restart_clocks(double late)
{
	FOR_WORKERS (w) {
		w->beat = clock_monotonic();
		w->start_due += late;
	}
	if (keeper.hammer_at != KEEPER_NEVER)
		keeper.hammer_at += late;
	upgrade_restart_clocks(late);
	if (late > 0)
		log_warn("the keeper was held up for %.1f s: all clocks start anew", late);
}

/* Acts on all that is due; returns the next deadline. */
static double run_clocks(double now)
{
	/* Signals first: what they begin sets the clocks of the others. */
	double (*const clocks[])(double) = {signals_clock, reload_clock, bundle_clock, notify_clock,
	    tickets_clock, children_clock, attach_clock, upgrade_clock, commit_clock,
	    generation_clock, reexec_clock};
	double due = now + 3600;

	for (size_t i = 0; i < sizeof clocks / sizeof *clocks; i++)
		due = fmin(due, clocks[i](now));
	FOR_WORKERS (w)
		due = fmin(due, worker_clock(w, now));
	return due;
}

enum { POLL_SIGNALS, POLL_SOCK, POLL_READER, POLL_KNOCKS };
enum { POLL_WORKERS = POLL_KNOCKS + KEEPER_KNOCKS, POLL_COUNT = POLL_WORKERS + KEEPER_WORKERS };

static void fill_poll(struct pollfd *p)
{
	p[POLL_SIGNALS] = (struct pollfd){.fd = keeper.signals, .events = POLLIN};
	p[POLL_SOCK] = (struct pollfd){.fd = keeper.sock, .events = POLLIN};
	p[POLL_READER] = (struct pollfd){.fd = keeper.reader.channel, .events = POLLIN};
	for (int i = 0; i < KEEPER_KNOCKS; i++)
		p[POLL_KNOCKS + i] =
		    (struct pollfd){.fd = keeper.attach.knocks[i].fd, .events = POLLIN};
	for (int i = 0; i < KEEPER_WORKERS; i++) {
		const struct worker *w = &keeper.workers[i];
		bool more = w->waiting || bundle_unsent(w) ||
			    (worker_lives(w) && w->held_next < KEEPER_HELD);

		p[POLL_WORKERS + i] = (struct pollfd){
		    .fd = w->channel, .events = (short)(POLLIN | (more ? POLLOUT : 0))};
	}
}

static void handle(const struct pollfd *p)
{
	for (int i = 0; i < KEEPER_WORKERS; i++) {
		short events = p[POLL_WORKERS + i].revents;

		if (events & POLLOUT)
			worker_writable(&keeper.workers[i]);
		if (events & (POLLIN | POLLHUP | POLLERR))
			words_readable(&keeper.workers[i]);
	}
	if (p[POLL_READER].revents)
		reload_readable();
	if (p[POLL_SOCK].revents)
		attach_accept();
	for (int i = 0; i < KEEPER_KNOCKS; i++)
		if (p[POLL_KNOCKS + i].revents)
			attach_readable(&keeper.attach.knocks[i]);
	if (p[POLL_SIGNALS].revents)
		signals_readable();
}

static void tell_changes(void)
{
	if (!keeper.dirty)
		return;
	keeper.dirty = false;
	generation_release();
	state_write();
	notify_status();
	FOR_WORKERS (w)
		if (w->state == WORKER_UP)
			worker_tell_status(w);
}

/* Time that passed where we do not wait, or beyond what we waited for, is time in which we were
 * held up. */
static void look_for_gap(double now, double expected)
{
	if (now - expected > 1)
		keeper_restart_clocks(now - expected);
}

static void turn(void)
{
	static struct pollfd p[POLL_COUNT];
	static double seen; /* when the last poll came back */
	double before = clock_monotonic(), wait;

	look_for_gap(before, seen > 0 ? seen : before);
	wait = run_clocks(before) - before;
	tell_changes();
	if (keeper.ended)
		return;
	fill_poll(p);
	if (poll(p, POLL_COUNT, wait > 0 ? (int)(wait * 1000) + 1 : 0) < 0)
		return; /* EINTR; there is no other */
	seen = clock_monotonic();
	look_for_gap(seen, before + (wait > 0 ? wait : 0));
	handle(p);
}

/* ---- the end ---- */

static void close_all(int code)
{
	FAILPOINT("keeper-end");
	spawn_kill(keeper.reader.pidfd, SIGKILL);
	reexec_end();
	FOR_WORKERS (w) {
		if (!w->pid)
			continue;
		worker_kill_group(w);
		if (w->adopted)
			(void)poll(&(struct pollfd){.fd = w->pidfd, .events = POLLIN}, 1, 1000);
		else
			(void)waitid(P_PID, (id_t)w->pid, &(siginfo_t){0}, WEXITED);
		w->state = WORKER_ENDED;
		w->pid = 0;
	}
	children_end();
	attach_end();
	if (keeper.loaded) {
		keeper.last_exit = code;
		keeper.last_signal = 0;
		keeper_enter(HOST_STOPPED, "", "");
		state_write();
	}
	state_close();
	log_info("ended with status %d", code);
}

int keeper_run(void)
{
	while (!keeper.ended)
		turn();
	close_all(keeper.code);
	return keeper.code;
}

int keeper_main(const struct keeper_opts *opts)
{
	static struct keeper_opts copy;
	int code;

	copy = *opts;
	if (opts->config_file) /* the title is written over argv */
		snprintf(keeper.config_file, sizeof keeper.config_file, "%s", opts->config_file);
	log_source("keeper");
	start_child_reader(opts->reader);
	start_close_inherited();
	if (copy.detach && detach_start(&code))
		return code;
	if (start_open(&copy) < 0) {
		log_error("cannot start: %s", strerror(errno));
		return KEEPER_EXIT_OS;
	}
	title_set("gadwall: keeper");
	FAILPOINT("keeper-start");
	if (reload_start() < 0) {
		log_error("cannot start the reader: %s", strerror(errno));
		keeper_end(KEEPER_EXIT_OS);
	}
	code = keeper_run();
	detach_done(code);
	return code;
}
