/* Workers: start, beats, death, restart, and what they are told. */
#include "proc/offer.h"
#include "proc/table.h"

#include <math.h>
#include <poll.h>

/* How often the pidfd of an adopted one is looked at whose channel has ended (s). */
#define ADOPTED_LOOK 0.01

bool worker_lives(const struct worker *w)
{
	return w->state == WORKER_STARTING || w->state == WORKER_UP;
}

struct worker *worker_of(uint32_t generation, uint32_t number)
{
	FOR_WORKERS (w)
		if (w->state != WORKER_NONE && w->generation == generation && w->number == number)
			return w;
	return NULL;
}

struct worker *worker_speaker(void)
{
	struct worker *best = NULL;

	FOR_WORKERS (w)
		if (w->state == WORKER_UP && w->generation == keeper.active &&
		    (!best || w->number < best->number))
			best = w;
	return best;
}

void worker_slot_init(struct worker *w, uint32_t generation, uint32_t number)
{
	*w = (struct worker){.state = WORKER_WAITING,
	    .generation = generation,
	    .number = number,
	    .pidfd = -1,
	    .channel = -1};
}

/* ---- what they are told ---- */

/* Its slot has the version from HELLO or ATTACH on; 0: a keeper before version 3 wrote it. */
unsigned worker_version(const struct worker *w)
{
	return w->slot.header.version ? w->slot.header.version : IPC_VERSION_OLDEST;
}

bool worker_send(const struct worker *w, struct ipc_message *m)
{
	m->header.version = (uint16_t)worker_version(w);
	m->header.generation = w->generation;
	m->header.worker = w->number;
	if (ipc_send(w->channel, m) == 0)
		return true;
	if (errno == EAGAIN)
		return false;
	if (errno != EPIPE && errno != ECONNRESET)
		log_error("worker g%u.%u: %s is lost: %s", w->generation, w->number,
		    ipc_type_name(m->header.type), strerror(errno));
	return true;
}

void worker_tell(struct worker *w, enum ipc_type type, uint32_t id, const char *format, ...)
{
	static struct ipc_message m;
	va_list args;

	if (w->channel < 0 || !ipc_type_in(type, worker_version(w)))
		return;
	va_start(args, format);
	ipc_vpack(&m, type, id, format, args);
	va_end(args);
	if (!w->waiting && !bundle_unsent(w) && w->held_next == KEEPER_HELD && worker_send(w, &m))
		return;
	if (type == IPC_STATUS || type == IPC_EVENT)
		return; /* the next one says it too */
	if (w->waiting || m.nfds > 0) {
		if (!w->deaf)
			log_warn("worker g%u.%u does not read: %s is lost", w->generation,
			    w->number, ipc_type_name(type));
		w->deaf = true; /* said once, not for each message of one that floods */
		return;
	}
	m.header.version = (uint16_t)worker_version(w);
	w->slot = m;
	w->waiting = true;
}

void worker_writable(struct worker *w)
{
	bool begun = w->held_next < KEEPER_HELD && offer_held(w);

	if (bundle_unsent(w))
		bundle_send(w);
	if (w->held_next == KEEPER_HELD && w->waiting && !bundle_unsent(w) &&
	    worker_send(w, &w->slot))
		w->waiting = w->deaf = false;
	if (begun)
		offer_peers(w);
}

void worker_tell_status(struct worker *to)
{
	double now = clock_monotonic();
	uint32_t index = 0, count = 0;

	FOR_WORKERS (w)
		count += w->state != WORKER_NONE;
	FOR_WORKERS (w)
		if (w->state != WORKER_NONE)
			worker_tell(to, IPC_STATUS, 0, "uuuuuuuff", index++, count, w->generation,
			    w->number, (uint32_t)w->pid,
			    w->failing && !worker_lives(w) ? HOST_FAILED : w->said, w->restarts,
			    w->started_at, w->state == WORKER_UP ? now - w->beat : -1.0);
}

static void tell_event(const struct worker *w, const char *event, int status, int signo)
{
	keeper.dirty = true;
	FOR_WORKERS (to)
		if (to->state == WORKER_UP)
			worker_tell(to, IPC_EVENT, 0, "uusuuu", w->generation, w->number, event,
			    (uint32_t)status, (uint32_t)signo, w->restarts);
}

/* ---- start ---- */

/* The newest that both its binary and we speak. */
static unsigned channel_version(const struct settings *s)
{
	unsigned theirs = s->channels ? s->channels : 2;

	return theirs < IPC_VERSION ? theirs : IPC_VERSION;
}

static double backoff(const struct worker *w)
{
	const struct settings *s = &keeper.settings;
	double delay = s->backoff_min;

	if (w->strikes <= 1 && !w->failing)
		return 0;
	for (unsigned i = 2; i < w->strikes && delay < s->backoff_max; i++)
		delay *= 2;
	return w->failing || delay > s->backoff_max ? s->backoff_max : delay;
}

static void start_failed(struct worker *w)
{
	log_error("cannot start worker g%u.%u: %s", w->generation, w->number, strerror(errno));
	if (!keeper.ready)
		keeper_end(KEEPER_EXIT_OS);
	/* a machine out of processes is not asked at once again */
	w->strikes += w->strikes < 2 ? 2 : 1;
	w->restart_at = clock_monotonic() + backoff(w);
}

void worker_start(struct worker *w)
{
	const struct generation *g = generation_of(w->generation);
	struct role role = {.is_worker = true, .binary = g->parts.binary, .settings = &g->settings};
	uint32_t held = held_offer(w->generation);

	if (spawn_role(&role, &w->pid, &w->pidfd, &w->channel) < 0) {
		start_failed(w);
		return;
	}
	w->state = WORKER_STARTING;
	w->ticks = state_ticks(w->pid);
	w->started = w->beat = clock_monotonic();
	w->started_at = clock_realtime();
	w->start_due = w->started + keeper.settings.start_timeout;
	w->kill_due = KEEPER_NEVER;
	w->leaving = w->was_up = w->aborted = w->waiting = w->deaf = false;
	w->adopted = w->attached = false;
	w->sessions = w->in_flight = 0;
	w->said = HOST_STARTING;
	w->phase[0] = w->last_words[0] = '\0';
	w->held_next = KEEPER_HELD; /* HELLO comes first */
	w->slot.header.version = (uint16_t)channel_version(&g->settings);
	log_info("worker g%u.%u started, pid %d", w->generation, w->number, (int)w->pid);
	worker_tell(w, IPC_HELLO, 0, "uuuuussdd", g->settings.workers,
	    g->role == GENERATION_JOINING ? IPC_JOINS : (uint32_t)keeper.passive,
	    (uint32_t)getpid(), held, w->restarts, keeper.nonce, g->settings.config_file,
	    g->parts.settings, g->parts.bundle);
	FAILPOINT("keeper-hello");
	tickets_tell(w);
	w->held_next = 0;
	if (offer_held(w))
		offer_peers(w);
	tell_event(w, "started", 0, 0);
}

/* ---- death ---- */

/* How long until the next try: at once, then back-off; after restart_limit deaths the host has
 * failed. */
static double judge_death(struct worker *w, double now)
{
	const struct settings *s = &keeper.settings;
	double oldest;

	if (now - w->started >= s->limit_seconds) {
		w->strikes = 0;
		w->failing = false;
	}
	w->strikes++;
	memmove(w->deaths + 1, w->deaths, sizeof w->deaths - sizeof *w->deaths);
	w->deaths[0] = now;
	oldest = w->deaths[s->limit_count - 1];
	if (oldest > 0 && now - oldest <= s->limit_seconds)
		w->failing = true;
	return backoff(w);
}

static void plan_restart(struct worker *w, const char *how)
{
	double now = clock_monotonic(), delay = judge_death(w, now);
	char when[48];

	w->state = WORKER_WAITING;
	w->said = HOST_STARTING; /* what it said was of the one that has died */
	w->restart_at = now + delay;
	w->restarts++;
	keeper.restarts++;
	FAILPOINT("keeper-restart");
	snprintf(
	    when, sizeof when, delay > 0 ? "restarting in %.1f s" : "restarting at once", delay);
	log_write(w->failing ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN, "worker g%u.%u ended: %s, %s%s",
	    w->generation, w->number, how, w->failing ? "too many deaths: failed, " : "", when);
	if (w->failing && !worker_speaker()) {
		keeper.failed = true;
		keeper_enter(HOST_FAILED, "", how);
	}
}

void worker_retry_all(void)
{
	FOR_WORKERS (w) {
		if (w->state != WORKER_WAITING)
			continue;
		w->restart_at = 0;
		w->strikes = 0;
		w->failing = false;
		memset(w->deaths, 0, sizeof w->deaths);
	}
}

/* During a stop, or beside a newer generation, a worker that ended was not started again. */
void worker_bring_back(void)
{
	FOR_WORKERS (w) {
		if (w->state != WORKER_ENDED || w->generation != keeper.active)
			continue;
		w->state = WORKER_WAITING;
		w->said = HOST_STARTING;
		w->restart_at = 0;
		w->restarts++;
		keeper.restarts++;
		log_warn("worker g%u.%u is missing: restarting at once", w->generation, w->number);
	}
}

/* Before its generation was ever ready there is no restart: its status is the start's outcome. */
static void give_up(const struct worker *w, const char *how, int code)
{
	log_error("worker g%u.%u ended before it was ready: %s", w->generation, w->number, how);
	if (w->generation == keeper.active)
		keeper_end(code);
}

static void say_how(char *to, size_t size, int status, bool by_signal)
{
	const char *word = by_signal ? sigabbrev_np(status) : NULL;

	if (status == WORKER_UNKNOWN)
		snprintf(to, size, "exit status unknown");
	else
		snprintf(to, size, by_signal ? "signal %d (SIG%s)" : "exit status %d", status,
		    word ? word : "?");
}

void worker_died(struct worker *w, int status, bool by_signal)
{
	char how[48], why[320];

	/* what is still in the channel was said before the death: LEAVING above all */
	for (int i = 0; i < 16 && w->channel >= 0; i++)
		words_readable(w);
	if (status == WORKER_UNKNOWN && w->leaving)
		status = w->code;
	fd_close(&w->channel);
	fd_close(&w->pidfd);
	w->pid = 0;
	w->state = WORKER_ENDED;
	bundle_lost(w);
	children_orphaned(w);
	keeper.last_exit = by_signal ? 0 : status;
	keeper.last_signal = by_signal ? status : 0;
	say_how(how, sizeof how, status, by_signal);
	snprintf(why, sizeof why, "%s%s%s", how, w->last_words[0] ? ": " : "", w->last_words);
	upgrade_lost_worker(w, why);
	if (!generation_is_needed(w->generation)) {
		log_info("worker g%u.%u ended: %s", w->generation, w->number, how);
		keeper_check_end();
	} else if ((w->leaving && !by_signal) || keeper.stopping) {
		log_info("worker g%u.%u ended: %s", w->generation, w->number, how);
		keeper_left(w, w->leaving && !by_signal ? w->code : KEEPER_EXIT_SOFTWARE);
	} else if (!generation_of(w->generation)->was_ready) {
		give_up(w, how, by_signal || status <= 0 ? KEEPER_EXIT_SOFTWARE : status);
	} else {
		plan_restart(w, how);
	}
	tell_event(w, w->failing ? "failed" : "ended", keeper.last_exit, keeper.last_signal);
}

void worker_kill_group(const struct worker *w)
{
	/* A child that we have not reaped keeps its number; of an adopted one the pidfd knows. */
	if (w->pid > 0 && (!w->adopted || spawn_kill(w->pidfd, 0) == 0))
		(void)kill(-w->pid, SIGKILL);
}

/* ---- clocks ---- */

static bool is_traced(pid_t pid)
{
	char text[1024];
	const char *p;

	state_read_proc(pid, "status", text, sizeof text);
	p = strstr(text, "\nTracerPid:");
	return p && atoi(p + sizeof "\nTracerPid:" - 1) != 0;
}

/* SIGABRT first: a debugger's or sanitizer's handler may still say where it hangs. */
static void end_hung(struct worker *w, double now, const char *what, double limit)
{
	if (is_traced(w->pid)) {
		log_info("worker g%u.%u: %s for %.1f s, but it is traced: not judged",
		    w->generation, w->number, what, limit);
		w->beat = now;
		w->start_due = now + limit;
		return;
	}
	log_error("worker g%u.%u: %s for %.1f s: SIGABRT, in %d s SIGKILL", w->generation,
	    w->number, what, limit, WORKER_ABORT_WAIT);
	w->aborted = true;
	w->kill_due = now + WORKER_ABORT_WAIT;
	spawn_kill(w->pidfd, SIGABRT);
	upgrade_lost_worker(w, what);
}

/* Of a beat by the settings of its own generation: an older one beats as they say. */
static double due(const struct worker *w)
{
	const struct generation *g = generation_of(w->generation);

	if (w->state == WORKER_WAITING)
		return keeper.stopping || commit_holds(w->generation) ? KEEPER_NEVER
								      : w->restart_at;
	if (!worker_lives(w))
		return KEEPER_NEVER;
	if (w->aborted)
		return w->kill_due;
	if (w->state == WORKER_STARTING)
		return w->start_due;
	return g->settings.worker_timeout < 0 ? KEEPER_NEVER : w->beat + g->settings.worker_timeout;
}

double worker_clock(struct worker *w, double now)
{
	if (w->adopted && w->channel < 0 && worker_lives(w)) {
		/* closed at its death, or shortly before it is killed: no SIGCHLD tells us */
		if (poll(&(struct pollfd){.fd = w->pidfd, .events = POLLIN}, 1, 0) == 1)
			worker_died(w, WORKER_UNKNOWN, false);
		else
			return fmin(due(w), now + ADOPTED_LOOK);
	}
	if (now < due(w))
		return due(w);
	if (w->state == WORKER_WAITING) {
		worker_start(w);
	} else if (w->aborted) {
		log_error("worker g%u.%u: %sSIGKILL", w->generation, w->number,
		    w->channel < 0 ? "it has closed its channel and lives on: " : "");
		w->kill_due = KEEPER_NEVER;
		spawn_kill(w->pidfd, SIGKILL);
	} else if (w->state == WORKER_STARTING) {
		end_hung(w, now, "not ready", keeper.settings.start_timeout);
	} else {
		end_hung(w, now, "no beat", due(w) - w->beat);
	}
	return due(w);
}
