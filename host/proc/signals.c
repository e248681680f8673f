/* Signals and verbs: what was asked for, in which state, how often, and who hears of it. */
#include "proc/table.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* Stop requests within this time of the last counted one are one request (s). */
#define STORM 1.0
/* The speaker's hooks have this long before the keeper goes on without them (s). */
#define HOOKS 2.0
/* A start that is told to stop has this long to unload what it loaded (s). */
#define ABANDON 5.0

static struct ipc_message out;

static void name_signal(char *to, size_t size, int signo)
{
	const char *word = sigabbrev_np(signo);

	if (word)
		snprintf(to, size, "SIG%s", word);
	else
		snprintf(to, size, "signal %d", signo);
}

int signals_open_fd(void)
{
	static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
	sigset_t all;

	sigfillset(&all);
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
		sigdelset(&all, faults[i]); /* a blocked one of these is death without a word */
	if (sigprocmask(SIG_SETMASK, &all, NULL) < 0)
		return -1;
	/* an inherited SIG_IGN (nohup, a careless parent) would eat signals and children */
	for (int i = 1; i < SETTINGS_SIGNALS; i++)
		(void)signal(i, SIG_DFL);
	keeper.signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	return keeper.signals < 0 ? -1 : 0;
}

/* ---- verbs ---- */

static void broadcast(enum host_verb verb, const char *text, const char *origin, bool forced)
{
	for (int i = 0; i < KEEPER_WORKERS; i++) {
		struct worker *w = &keeper.workers[i];

		if (!worker_lives(w))
			continue;
		ipc_begin(&out, IPC_VERB, w->generation, w->number);
		out.header.id = ++keeper.next_id;
		ipc_put_str(&out, host_verb_name(verb));
		ipc_put_u32(&out, forced);
		ipc_put_str(&out, origin);
		ipc_put_str(&out, text);
		worker_send(w, &out);
	}
}

void signals_stop_others(void)
{
	broadcast(VERB_SHUTDOWN, "", "a worker left", true);
}

static bool is_starting(void)
{
	return !keeper.was_ready && keeper.state == HOST_STARTING;
}

static void begin_stop(const char *text, const char *origin, double at)
{
	bool starting = is_starting();

	keeper.stopping = true;
	FAILPOINT("keeper-stop");
	if (keeper.settings.hammer_time >= 0 && keeper.loaded)
		keeper.hammer_at = at + keeper.settings.hammer_time;
	log_info("%s: stopping%s", origin, starting ? ", the start is abandoned" : "");
	if (starting)
		keeper.abandon_at = clock_monotonic() + ABANDON;
	broadcast(VERB_SHUTDOWN, text, origin, starting);
	keeper_enter(HOST_STOPPING, "", origin);
	keeper_check_end();
}

/* Counts a stop request: the first begins it, the second hurries, the third hammers. */
static bool count_stop(double at)
{
	if (keeper.stop_count > 0 && at - keeper.stop_last < STORM)
		return false;
	keeper.stop_last = at;
	keeper.stop_count++;
	return true;
}

static void go_on_stopping(const char *origin)
{
	if (keeper.stop_count == 2) {
		log_warn("%s again: the current phase ends now, a third hammers", origin);
		keeper.stopping = true;
		broadcast(VERB_SHUTDOWN, "", origin, true);
	} else {
		keeper_hammer(origin);
	}
}

static const char *finish(const char *text, const char *origin, double at)
{
	if (is_starting()) {
		if (count_stop(at))
			begin_stop(text, origin, at);
		return NULL;
	}
	if (keeper.stopping)
		return NULL;
	keeper.stopping = true;
	broadcast(VERB_FINISH, text, origin, false);
	keeper_check_end();
	return NULL;
}

static const char *reload(void)
{
	if (keeper.stopping || keeper.state == HOST_FINISHING || keeper.state == HOST_STOPPING)
		return host_state_name(keeper.state);
	if (is_starting()) {
		keeper.reload_kept = true;
		return NULL;
	}
	return reload_start() < 0 ? strerror(errno) : NULL;
}

static void extend(const char *text, const char *origin)
{
	double seconds = strtod(text, NULL);

	if (seconds > 0 && seconds <= 30 * 86400.0 && keeper.hammer_at != KEEPER_NEVER)
		keeper.hammer_at += seconds;
	broadcast(VERB_EXTEND, text, origin, false);
}

static const char *pass_on(enum host_verb verb, const char *text, const char *origin)
{
	if (keeper.state == HOST_FAILED)
		return "failed";
	broadcast(verb, text, origin, false);
	return NULL;
}

static const char *test_generation(void)
{
#ifdef GADWALL_FAILPOINTS
	const struct generation *g = keeper_generation(keeper.active);

	return keeper_generation_start(g->settings, g->bundle) ? NULL : "no room for a generation";
#else
	return "not a test build";
#endif
}

const char *signals_verb(enum host_verb verb, const char *text, const char *origin, double at)
{
	switch (verb) {
	case VERB_SHUTDOWN:
		if (!count_stop(at))
			return NULL;
		if (keeper.stop_count > 1)
			go_on_stopping(origin);
		else
			begin_stop(text, origin, at);
		return NULL;
	case VERB_FINISH: return finish(text, origin, at);
	case VERB_RELOAD: return reload();
	case VERB_HAMMER: keeper_hammer(origin); return NULL;
	case VERB_EXTEND: extend(text, origin); return NULL;
	case VERB_DRAIN:
	case VERB_UNDRAIN:
	case VERB_ABORT:
	case VERB_REOPEN_LOGS: return pass_on(verb, text, origin);
	case VERB_UPGRADE:
	case VERB_ROLLBACK: return "not built in this version";
	case VERB_TEST_GENERATION: return test_generation();
	default: return "no such verb";
	}
}

/* ---- signals ---- */

/* The terminal has gone when one that we started with hangs up: then nobody waits for a reload. */
static bool terminal_gone(const struct signalfd_siginfo *si)
{
	if (si->ssi_code == SI_KERNEL)
		return true;
	for (int fd = 0; fd < 3; fd++) {
		struct pollfd p = {.fd = fd};

		if ((keeper.terminal & (1 << fd)) && poll(&p, 1, 0) == 1 &&
		    (p.revents & (POLLHUP | POLLERR)))
			return true;
	}
	return false;
}

static void ask_speaker(struct worker *speaker, const struct pending *p)
{
	ipc_begin(&out, IPC_SIGNAL, speaker->generation, speaker->number);
	out.header.id = p->id;
	ipc_put_u32(&out, (uint32_t)p->signo);
	ipc_put_str(&out, host_verb_name(p->verb));
	ipc_put_str(&out, host_state_name(keeper.state));
	ipc_put_u32(&out, (uint32_t)p->sender);
	worker_send(speaker, &out);
}

static struct pending *find_pending(uint32_t id)
{
	for (int i = 0; i < KEEPER_SIGNALS; i++)
		if (keeper.pending[i].id == id)
			return &keeper.pending[i];
	return NULL;
}

/* The verb of a signal whose hooks have had their say. */
static void act(struct pending *p)
{
	char name[24];
	const char *why = NULL;

	name_signal(name, sizeof name, p->signo);
	p->id = 0;
	if (p->verb == VERB_SHUTDOWN) {
		if (keeper.stop_count <= 1)
			begin_stop("", name, p->at);
		return;
	}
	if (p->verb != VERB_NONE)
		why = signals_verb(p->verb, "", name, p->at);
	if (why)
		log_warn("%s: cannot %s: %s", name, host_verb_name(p->verb), why);
}

static void begin_hooks(int signo, pid_t sender, enum host_verb verb, double at)
{
	struct worker *speaker = worker_speaker();
	struct pending direct = {0, signo, sender, verb, at, at}, *p = find_pending(0);

	if (!speaker || !p) {
		act(&direct);
		return;
	}
	*p = direct;
	p->id = ++keeper.next_id;
	p->due = at + HOOKS;
	ask_speaker(speaker, p);
}

static void take_signal(int signo, pid_t sender, double at, bool hangup)
{
	enum host_verb verb = (enum host_verb)keeper.settings.signals[signo][keeper.state];
	char name[24];

	name_signal(name, sizeof name, signo);
	if (hangup)
		verb = VERB_SHUTDOWN;
	if (!keeper.loaded)
		verb = signo == SIGTERM || signo == SIGINT || signo == SIGQUIT || hangup
			   ? VERB_SHUTDOWN
			   : VERB_NONE;
	if (verb == VERB_SHUTDOWN && !count_stop(at))
		return;
	if (sender)
		log_info("%s from pid %d: %s", name, (int)sender, host_verb_name(verb));
	else
		log_info("%s: %s", name, hangup ? "the terminal has gone" : host_verb_name(verb));
	if (verb == VERB_SHUTDOWN && keeper.stop_count > 1)
		go_on_stopping(name);
	else if (verb == VERB_HAMMER)
		keeper_hammer(name);
	else
		begin_hooks(signo, sender, verb, at);
}

/* Signals that mean nothing to a host unless the config says so. */
static bool is_quiet(int signo)
{
	switch (signo) {
	case SIGPIPE:
	case SIGWINCH:
	case SIGURG:
	case SIGTTIN:
	case SIGTTOU: return true;
	default: return false;
	}
}

static void receive(const struct signalfd_siginfo *si)
{
	int signo = (int)si->ssi_signo;

	if (signo == SIGCHLD) {
		keeper_reap();
	} else if (signo == SIGTSTP) {
		log_info("suspended from the terminal; the workers serve on");
		(void)kill(getpid(), SIGSTOP);
	} else if (signo == SIGCONT) {
		keeper_restart_clocks(0);
#ifdef GADWALL_FAILPOINTS
	} else if (signo == SIGRTMIN + 1) {
		(void)test_generation();
#endif
	} else if (signo > 0 && signo < SETTINGS_SIGNALS &&
		   !(is_quiet(signo) &&
		       keeper.settings.signals[signo][keeper.state] == VERB_NONE)) {
		take_signal(signo, (pid_t)si->ssi_pid, clock_monotonic(),
		    signo == SIGHUP && terminal_gone(si));
	}
}

void signals_readable(void)
{
	struct signalfd_siginfo si[16];
	ssize_t n = read(keeper.signals, si, sizeof si);

	for (ssize_t i = 0; i < n / (ssize_t)sizeof *si; i++)
		receive(&si[i]);
}

void signals_answer(uint32_t id, const char *result, const char *text)
{
	struct pending *p = id ? find_pending(id) : NULL;
	char name[24];

	if (!p)
		return; /* too late: the keeper went on without it */
	name_signal(name, sizeof name, p->signo);
	if (strcmp(result, "go") == 0) {
		act(p);
		return;
	}
	log_info("%s: %s%s%s", name, result, text[0] ? ": " : "", text);
	p->id = 0;
	if (p->verb == VERB_SHUTDOWN && keeper.stop_count <= 1)
		keeper.stop_count = 0;
}

void signals_clock(double now)
{
	for (int i = 0; i < KEEPER_SIGNALS; i++) {
		struct pending *p = &keeper.pending[i];

		if (!p->id || now < p->due)
			continue;
		log_warn("no answer of the hooks within %.0f s: going on without them", HOOKS);
		act(p);
	}
	if (now >= keeper.hammer_at)
		keeper_hammer("hammer_time is over");
	if (now >= keeper.abandon_at)
		keeper_hammer("the start does not end");
}

double signals_due(void)
{
	double due = keeper.hammer_at < keeper.abandon_at ? keeper.hammer_at : keeper.abandon_at;

	for (int i = 0; i < KEEPER_SIGNALS; i++)
		if (keeper.pending[i].id && keeper.pending[i].due < due)
			due = keeper.pending[i].due;
	return due;
}

void signals_request(struct worker *w, uint32_t id, enum host_verb verb, const char *text)
{
	char origin[32];
	const char *why = NULL;
	int signo = atoi(text);

	snprintf(origin, sizeof origin, "worker g%u.%u", w->generation, w->number);
	if (verb == VERB_STATUS) {
		worker_send_status(w);
	} else if (verb == VERB_SIGNAL) {
		if (signo > 0 && signo < SETTINGS_SIGNALS)
			take_signal(signo, w->pid, clock_monotonic(), false);
		else
			why = "no such signal";
	} else if (verb == VERB_RELOAD && !is_starting()) {
		why = reload();
		if (!why) {
			keeper.reader.requester = w->number;
			keeper.reader.requester_generation = w->generation;
			keeper.reader.request = id;
			return; /* answered when the reader has ended */
		}
	} else {
		why = signals_verb(verb, text, origin, clock_monotonic());
	}
	worker_result(w, id, !why, why ? why : "", -1);
}
