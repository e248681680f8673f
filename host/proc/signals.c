/* Signals and verbs: what was asked for, in which state, how often, and who hears of it. */
#include "proc/table.h"

#include <poll.h>
#include <sys/signalfd.h>

/* Stop requests within this time of the last counted one are one request (s). */
#define STORM 1.0
/* The speaker's hooks have this long before the keeper goes on without them (s). */
#define HOOKS 2.0
/* A start that is told to stop has this long to unload what it has loaded (s). */
#define ABANDON 5.0

/* ---- verbs ---- */

void signals_broadcast(enum host_verb verb, const char *text, const char *origin, bool forced)
{
	bool one = verb == VERB_DRAIN || verb == VERB_UNDRAIN || verb == VERB_REPORT;

	FOR_WORKERS (w)
		if (worker_lives(w) && (!one || w->generation == keeper.active))
			worker_tell(w, IPC_VERB, ++keeper.next_id, "suss", host_verb_name(verb),
			    forced, origin, text);
}

static bool is_starting(void)
{
	return !keeper.ready && keeper.state == HOST_STARTING;
}

static void begin_stop(const char *text, const char *origin, double at)
{
	upgrade_abandon("the host stops");
	keeper.stopping = true;
	keeper.abandoned = is_starting();
	FAILPOINT("keeper-stop");
	if (keeper.abandoned)
		keeper.hammer_at = at + ABANDON;
	else if (keeper.settings.hammer_time >= 0)
		keeper.hammer_at = at + keeper.settings.hammer_time;
	signals_broadcast(VERB_SHUTDOWN, text, origin, keeper.abandoned);
	keeper_enter(HOST_STOPPING, "", origin);
	keeper_check_end();
}

/* Whether a stop request counts: a storm is one. */
static bool count_stop(double at)
{
	if (keeper.stop_count > 0 && at - keeper.stop_last < STORM)
		return false;
	keeper.stop_last = at;
	keeper.stop_count++;
	return true;
}

/* The first begins the stop, the second hurries it, the third hammers. */
static void stop(const char *text, const char *origin, double at)
{
	if (keeper.stop_count <= 1) {
		begin_stop(text, origin, at);
	} else if (keeper.stop_count == 2) {
		log_warn("%s again: the current phase ends now, a third one hammers", origin);
		keeper.stopping = true;
		signals_broadcast(VERB_SHUTDOWN, text, origin, true);
	} else {
		keeper_hammer(origin);
	}
}

static void finish(const char *text, const char *origin)
{
	if (keeper.stopping)
		return;
	upgrade_abandon("the host finishes");
	keeper.stopping = true;
	signals_broadcast(VERB_FINISH, text, origin, false);
	keeper_check_end();
}

static const char *reload(void)
{
	if (keeper.stopping)
		return host_state_name(keeper.state);
	if (keeper.upgrade.state != UPGRADE_NONE && keeper.upgrade.state != UPGRADE_PROBATION)
		return "upgrading";
	if (is_starting())
		keeper.reload_kept = true;
	else if (reload_start() < 0)
		return strerror(errno);
	return NULL;
}

static void extend(const char *text)
{
	double seconds = strtod(text, NULL);

	if (seconds > 0 && seconds <= 30 * 86400.0 && keeper.hammer_at != KEEPER_NEVER)
		keeper.hammer_at += seconds;
}

/* Carries a verb out; NULL, or why it is refused. Stop requests have been counted before. */
static const char *run_verb(enum host_verb verb, const char *text, const char *origin, double at)
{
	const struct generation *g = generation_of(keeper.active);

	if (verb == VERB_FINISH && is_starting())
		verb = VERB_SHUTDOWN;
	if (verb == VERB_SHUTDOWN && keeper.attach.waiting) {
		keeper.attach.kept = verb; /* in a second it is known whom to stop */
		return NULL;
	}
	switch (verb) {
	case VERB_SHUTDOWN: stop(text, origin, at); return NULL;
	case VERB_FINISH: finish(text, origin); return NULL;
	case VERB_RELOAD: return reload();
	case VERB_HAMMER: keeper_hammer(origin); return NULL;
	case VERB_UPGRADE: return upgrade_request(NULL, 0, "");
	case VERB_ROLLBACK: return upgrade_rollback(NULL, 0);
	case VERB_EXTEND: extend(text); break;
	case VERB_ACTIVATE: keeper.passive = false; break;
	case VERB_DRAIN:
	case VERB_UNDRAIN:
	case VERB_ABORT:
	case VERB_REOPEN_LOGS: break;
#ifdef GADWALL_FAILPOINTS
	case VERB_TEST_GENERATION:
		return generation_start(&g->parts, GENERATION_ACTIVE) ? NULL : "no room";
#endif
	default: return "not a verb";
	}
	if (!g || keeper.state == HOST_FAILED)
		return "no worker";
	signals_broadcast(verb, text, origin, false);
	return NULL;
}

void signals_run_kept(enum host_verb verb)
{
	keeper.stop_count = 1;
	(void)run_verb(verb, "", "a signal at the start", clock_monotonic());
}

/* ---- signals ---- */

/* "SIGTERM"; valid until the next call. */
static const char *name_of(int signo)
{
	static char name[24];
	const char *word = sigabbrev_np(signo);

	if (word)
		snprintf(name, sizeof name, "SIG%s", word);
	else
		snprintf(name, sizeof name, "SIG%d", signo);
	return name;
}

/* When a terminal that we started with has hung up, nobody waits for a reload. */
static bool terminal_gone(const struct signalfd_siginfo *si)
{
	struct pollfd p = {.events = 0};

	for (; p.fd < 3; p.fd++)
		if ((keeper.terminals & 1 << p.fd) && poll(&p, 1, 0) == 1)
			return true;
	return si->ssi_code == SI_KERNEL;
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
	struct worker *speaker = worker_speaker();
	const char *why = NULL;

	p->id = 0;
	if (p->verb == VERB_SHUTDOWN && keeper.stop_count > 1)
		return; /* a second one did not wait for the hooks of the first */
	if (p->verb != VERB_NONE)
		why = run_verb(p->verb, "", name_of(p->signo), p->at);
	if (why)
		log_warn("%s: cannot %s: %s", name_of(p->signo), host_verb_name(p->verb), why);
	/* a reload has its outcome later: the speaker would wait for it */
	if (why && p->verb == VERB_RELOAD && speaker && !keeper.stopping)
		worker_tell(speaker, IPC_RESULT, 0, "us", 0, why);
}

static void ask_speaker(struct pending *asked)
{
	struct worker *speaker = worker_speaker();
	struct pending *p = find_pending(0);

	if (!speaker || !p) {
		act(asked);
		return;
	}
	*p = *asked;
	p->id = ++keeper.next_id;
	p->due = p->at + HOOKS;
	worker_tell(speaker, IPC_SIGNAL, p->id, "ussu", (uint32_t)p->signo, host_verb_name(p->verb),
	    host_state_name(keeper.state), (uint32_t)p->sender);
}

static void take_signal(int signo, pid_t sender, bool hangup)
{
	struct pending p = {.signo = signo, .sender = sender, .at = clock_monotonic()};

	p.verb = (enum host_verb)keeper.settings.signals[signo][keeper.state];
	if (hangup || (!keeper.loaded && (signo == SIGTERM || signo == SIGINT || signo == SIGQUIT)))
		p.verb = VERB_SHUTDOWN;
	if (p.verb == VERB_SHUTDOWN && !count_stop(p.at))
		return;
	log_info("%s from pid %d%s: %s", name_of(signo), (int)sender,
	    hangup ? " (the terminal has gone)" : "", host_verb_name(p.verb));
	/* nothing can hold back a second stop signal, or the hammer */
	if ((p.verb == VERB_SHUTDOWN && keeper.stop_count > 1) || p.verb == VERB_HAMMER)
		(void)run_verb(p.verb, "", name_of(signo), p.at);
	else
		ask_speaker(&p);
}

/* Signals that mean nothing to a host unless the config says so. */
static bool is_quiet(int signo)
{
	return keeper.settings.signals[signo][keeper.state] == VERB_NONE &&
	       (signo == SIGPIPE || signo == SIGWINCH || signo == SIGURG || signo == SIGTTIN ||
		   signo == SIGTTOU || signo == SIGXFSZ);
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
	} else if (signo == SIGRTMIN + 1 && failpoint_enabled()) {
		(void)run_verb(VERB_TEST_GENERATION, "", "test", 0);
	} else if (signo == SIGRTMIN + 2 && failpoint_enabled()) {
		keeper.tickets_due = 0;
	} else if (signo == SIGRTMIN + 3 && failpoint_enabled()) {
		reexec_want(true);
	} else if (signo > 0 && signo < SETTINGS_SIGNALS && !is_quiet(signo)) {
		take_signal(signo, (pid_t)si->ssi_pid, signo == SIGHUP && terminal_gone(si));
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

	if (!p)
		return; /* too late: the keeper went on without it */
	if (strcmp(result, "go") == 0) {
		act(p);
		return;
	}
	log_info("%s: %s%s%s", name_of(p->signo), result, text[0] ? ": " : "", text);
	p->id = 0;
	if (p->verb == VERB_SHUTDOWN && keeper.stop_count == 1 && !keeper.stopping)
		keeper.stop_count = 0;
}

double signals_clock(double now)
{
	double next = KEEPER_NEVER;

	for (int i = 0; i < KEEPER_SIGNALS; i++) {
		struct pending *p = &keeper.pending[i];

		if (p->id && now >= p->due) {
			log_warn(
			    "signal %d: no answer of the hooks: going on without them", p->signo);
			act(p); /* may begin a stop, and with it the hammer's clock */
		}
		if (p->id && p->due < next)
			next = p->due;
	}
	if (now >= keeper.hammer_at)
		keeper_hammer(keeper.abandoned ? "the start does not end" : "hammer_time is over");
	return keeper.hammer_at < next ? keeper.hammer_at : next;
}

/* Whether a stop signal is with its hooks: a stop that the worker asks for meanwhile is what they
 * made of it, and no repetition. */
static bool stop_is_pending(void)
{
	for (int i = 0; i < KEEPER_SIGNALS; i++)
		if (keeper.pending[i].id && keeper.pending[i].verb == VERB_SHUTDOWN)
			return true;
	return false;
}

/* `stop --now`: no repetition of the stop that runs, so the rule about storms is not for it. The
 * worker writes this word first (core/verbs.lua). */
static bool says_now(const char *text)
{
	static const char word[] = "{\"now\":true";

	return strncmp(text, word, sizeof word - 1) == 0;
}

/* Answered at once, but for a reload, an upgrade and a rollback: those at their outcome. */
void signals_request(struct worker *w, uint32_t id, enum host_verb verb, const char *text)
{
	struct reader *r = &keeper.reader;
	const char *why = NULL;
	char origin[32];
	int signo = atoi(text);
	bool busy = r->pid != 0;

	snprintf(origin, sizeof origin, "worker g%u.%u", w->generation, w->number);
	if (verb == VERB_STATUS)
		worker_tell_status(w);
	else if (verb == VERB_RELOAD && r->request)
		why = "another reload is under way"; /* whose outcome is not this one's */
	else if (verb == VERB_UPGRADE || verb == VERB_ROLLBACK)
		why = verb == VERB_UPGRADE ? upgrade_request(w, id, text) : upgrade_rollback(w, id);
	else if (verb == VERB_SIGNAL && signo > 0 && signo < SETTINGS_SIGNALS)
		take_signal(signo, w->pid, false);
	else if (verb == VERB_SHUTDOWN && keeper.stopping && keeper.stop_count > 0 &&
		 says_now(text))
		signals_broadcast(verb, text, origin, true);
	else if (verb != VERB_SHUTDOWN || count_stop(clock_monotonic()) ||
		 (!keeper.stopping && stop_is_pending()))
		why = run_verb(verb, text, origin, clock_monotonic());
	if (verb == VERB_RELOAD && !why && (r->pid || keeper.reload_kept) && !r->request) {
		r->request = id;
		r->later = busy;
		r->generation = w->generation;
		r->worker = w->number;
		return;
	}
	if (why || (verb != VERB_UPGRADE && verb != VERB_ROLLBACK))
		worker_tell(w, IPC_RESULT, id, "us", !why, why ? why : "");
}
