/* Workers: start, their words, their beats, their deaths, their restarts. */
#include "proc/table.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/fd.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ABORT_WAIT = 2, STATUS_PER_MESSAGE = 24 };

static struct ipc_message out; /* one at a time: the keeper has one thread */
static struct ipc_message in;

bool worker_lives(const struct worker *w)
{
	return w->state == WORKER_STARTING || w->state == WORKER_UP;
}

struct worker *worker_of(uint32_t generation, uint32_t number)
{
	for (int i = 0; i < KEEPER_WORKERS; i++) {
		struct worker *w = &keeper.workers[i];

		if (w->state != WORKER_NONE && w->generation == generation && w->number == number)
			return w;
	}
	return NULL;
}

struct worker *worker_of_pid(pid_t pid)
{
	for (int i = 0; i < KEEPER_WORKERS; i++)
		if (keeper.workers[i].pid == pid && pid > 0)
			return &keeper.workers[i];
	return NULL;
}

struct worker *worker_speaker(void)
{
	struct worker *best = NULL;

	for (int i = 0; i < KEEPER_WORKERS; i++) {
		struct worker *w = &keeper.workers[i];

		if (w->state == WORKER_UP && w->generation == keeper.active &&
		    (!best || w->number < best->number))
			best = w;
	}
	return best;
}

void worker_slot_init(struct worker *w, uint32_t generation, uint32_t number)
{
	memset(w, 0, sizeof *w);
	w->generation = generation;
	w->number = number;
	w->state = WORKER_WAITING;
	w->pidfd = w->channel = -1;
}

/* ---- sending ---- */

static int try_send(struct worker *w, const struct ipc_message *m)
{
	if (ipc_send(w->channel, m) == 0)
		return 0;
	if (errno == EAGAIN)
		return -1;
	/* EPIPE: it is dying, and its death is on the way */
	log_debug("worker g%u.%u: cannot send %s: %s", w->generation, w->number,
	    ipc_type_name(m->header.type), strerror(errno));
	return 0;
}

void worker_send(struct worker *w, const struct ipc_message *m)
{
	if (w->channel < 0)
		return;
	if (!w->waiting_room && w->held_next == KEEPER_HELD && try_send(w, m) == 0)
		return;
	if (m->header.type == IPC_STATUS || m->header.type == IPC_EVENT)
		return; /* the next one says it too */
	if (w->waiting_room || m->nfds > 0) {
		log_warn("worker g%u.%u does not read: %s dropped", w->generation, w->number,
		    ipc_type_name(m->header.type));
		return;
	}
	w->slot = *m;
	w->waiting_room = true;
}

/* Offers the held descriptors, as many as the channel takes; then BEGIN. */
static void offer_held(struct worker *w)
{
	while (w->held_next < KEEPER_HELD) {
		struct held *h = &keeper.held[w->held_next];

		if (h->fd >= 0) {
			ipc_begin(&out, IPC_HELD, w->generation, w->number);
			ipc_put_str(&out, h->name);
			ipc_put_fd(&out, h->fd);
			if (try_send(w, &out) < 0)
				return;
			FAILPOINT("keeper-held");
		}
		if (w->held_next == KEEPER_HELD - 1) {
			ipc_begin(&out, IPC_BEGIN, w->generation, w->number);
			if (try_send(w, &out) < 0)
				return;
			FAILPOINT("keeper-begin");
		}
		w->held_next++;
	}
}

void worker_writable(struct worker *w)
{
	offer_held(w);
	if (w->held_next == KEEPER_HELD && w->waiting_room && try_send(w, &w->slot) == 0)
		w->waiting_room = false;
}

void worker_result(struct worker *w, uint32_t id, bool ok, const char *text, int fd)
{
	ipc_begin(&out, IPC_RESULT, w->generation, w->number);
	out.header.id = id;
	ipc_put_u32(&out, ok);
	ipc_put_str(&out, text);
	if (fd >= 0)
		ipc_put_fd(&out, fd);
	worker_send(w, &out);
}

static void put_status(struct ipc_message *m, const struct worker *w, double now)
{
	ipc_put_u32(m, w->generation);
	ipc_put_u32(m, w->number);
	ipc_put_u32(m, (uint32_t)w->pid);
	ipc_put_u32(m, w->state == WORKER_WAITING && w->failing ? HOST_FAILED : w->said);
	ipc_put_u32(m, w->restarts);
	ipc_put_f64(m, w->started_at);
	ipc_put_f64(m, w->state == WORKER_UP ? now - w->beat : -1);
}

void worker_send_status(struct worker *to)
{
	double now = clock_monotonic();
	uint32_t total = 0, first = 0, n;

	for (int i = 0; i < KEEPER_WORKERS; i++)
		total += keeper.workers[i].state != WORKER_NONE;
	for (int i = 0; i < KEEPER_WORKERS && first < total; first += n) {
		n = total - first < STATUS_PER_MESSAGE ? total - first : STATUS_PER_MESSAGE;
		ipc_begin(&out, IPC_STATUS, to->generation, to->number);
		ipc_put_u32(&out, first);
		ipc_put_u32(&out, n);
		ipc_put_u32(&out, total);
		for (uint32_t k = 0; k < n; i++)
			if (keeper.workers[i].state != WORKER_NONE) {
				put_status(&out, &keeper.workers[i], now);
				k++;
			}
		worker_send(to, &out);
	}
}

void worker_event(const struct worker *w, const char *event, int code, int signo)
{
	keeper.dirty = true;
	for (int i = 0; i < KEEPER_WORKERS; i++) {
		struct worker *to = &keeper.workers[i];

		if (to->state != WORKER_UP)
			continue;
		ipc_begin(&out, IPC_EVENT, to->generation, to->number);
		ipc_put_u32(&out, w->generation);
		ipc_put_u32(&out, w->number);
		ipc_put_str(&out, event);
		ipc_put_u32(&out, (uint32_t)code);
		ipc_put_u32(&out, (uint32_t)signo);
		ipc_put_u32(&out, w->restarts);
		worker_send(to, &out);
	}
}

/* ---- start ---- */

static void send_hello(struct worker *w, const struct generation *g)
{
	ipc_begin(&out, IPC_HELLO, w->generation, w->number);
	ipc_put_u32(&out, g->workers);
	ipc_put_u32(&out, keeper.opts->passive);
	ipc_put_u32(&out, (uint32_t)getpid());
	ipc_put_u32(&out, held_count());
	ipc_put_u32(&out, w->restarts);
	ipc_put_str(&out, keeper.nonce);
	ipc_put_str(&out, keeper.settings.config_file);
	ipc_put_fd(&out, g->settings);
	ipc_put_fd(&out, g->bundle);
	(void)try_send(w, &out); /* an empty channel takes it */
	FAILPOINT("keeper-hello");
	w->held_next = 0;
	offer_held(w);
}

/* Workers of one generation talk to each other without the keeper: it makes the pair and forgets
 * it. */
static void introduce(struct worker *w)
{
	for (int i = 0; i < KEEPER_WORKERS; i++) {
		struct worker *other = &keeper.workers[i];
		struct worker *sides[2] = {w, other};
		int pair[2];

		if (other == w || other->generation != w->generation || !worker_lives(other) ||
		    ipc_pair(pair) < 0)
			continue;
		for (int side = 0; side < 2; side++) {
			ipc_begin(&out, IPC_PEER, w->generation, sides[side]->number);
			ipc_put_u32(&out, sides[1 - side]->number);
			ipc_put_fd(&out, pair[side]);
			worker_send(sides[side], &out);
			close(pair[side]);
		}
	}
}

static double backoff(const struct worker *w)
{
	const struct settings *s = &keeper.settings;
	double delay = s->backoff_min;

	if (w->failing)
		return s->backoff_max;
	if (w->strikes <= 1)
		return 0;
	for (unsigned i = 2; i < w->strikes && delay < s->backoff_max; i++)
		delay *= 2;
	return delay < s->backoff_max ? delay : s->backoff_max;
}

void worker_start(struct worker *w)
{
	const struct generation *g = keeper_generation(w->generation);
	struct spawned s;

	if (spawn_role(SPAWN_WORKER, g->binary, false, &s) < 0) {
		log_error(
		    "cannot start worker g%u.%u: %s", w->generation, w->number, strerror(errno));
		if (!keeper.was_ready) {
			keeper_end(KEEPER_EXIT_OS);
			return;
		}
		w->strikes++;
		w->restart_at = clock_monotonic() + backoff(w) + keeper.settings.backoff_min;
		return;
	}
	w->state = WORKER_STARTING;
	w->pid = s.pid;
	w->pidfd = s.pidfd;
	w->channel = s.channel;
	w->ticks = rundir_ticks(s.pid);
	w->started = clock_monotonic();
	w->started_at = clock_realtime();
	w->start_due = w->started + keeper.settings.start_timeout;
	w->kill_due = KEEPER_NEVER;
	w->beat = w->started;
	w->leaving = w->was_up = w->aborted = w->waiting_room = false;
	w->sessions = w->in_flight = 0;
	w->said = HOST_STARTING;
	w->phase[0] = '\0';
	log_info("worker g%u.%u started, pid %d", w->generation, w->number, (int)w->pid);
	send_hello(w, g);
	introduce(w);
	worker_event(w, "started", 0, 0);
}

/* ---- what a worker says ---- */

static void copy_word(char *to, size_t size, const char *from)
{
	size_t i = 0;

	for (; from[i] && i < size - 1; i++)
		to[i] = (from[i] < ' ' || from[i] == 0x7f) ? '?' : from[i];
	to[i] = '\0';
}

static void on_ready(struct worker *w)
{
	if (w->state != WORKER_STARTING)
		return;
	w->state = WORKER_UP;
	w->was_up = true;
	w->beat = clock_monotonic();
	w->start_due = KEEPER_NEVER;
	if (w->said == HOST_STARTING)
		w->said = keeper.opts->passive ? HOST_PASSIVE : HOST_SERVING;
	log_info(
	    "worker g%u.%u is ready after %.3f s", w->generation, w->number, w->beat - w->started);
	FAILPOINT("keeper-ready");
	keeper_worker_ready(w);
	worker_event(w, "ready", 0, 0);
	worker_send_status(w);
}

static void on_hold(struct worker *w, struct ipc_message *m)
{
	char name[KEEPER_NAME];
	const char *why;

	ipc_get_text(m, name, sizeof name);
	if (!ipc_end(m))
		return;
	why = held_take(name, ipc_give_fd(m, 0), w->generation);
	if (why)
		log_warn(
		    "worker g%u.%u: cannot hold '%s': %s", w->generation, w->number, name, why);
}

static void on_unhold(struct worker *w, struct ipc_message *m)
{
	char name[KEEPER_NAME];

	ipc_get_text(m, name, sizeof name);
	if (ipc_end(m))
		held_drop(name, w->generation);
}

static void on_bind(struct worker *w, struct ipc_message *m)
{
	uint32_t id = m->header.id, index = ipc_get_u32(m);
	int fd;

	if (!ipc_end(m))
		return;
	fd = held_bind(index);
	if (fd < 0) {
		worker_result(w, id, false, strerror(errno), -1);
		return;
	}
	ipc_begin(&out, IPC_BOUND, w->generation, w->number);
	out.header.id = id;
	ipc_put_fd(&out, fd);
	worker_send(w, &out);
	close(fd);
}

static void on_state(struct worker *w, struct ipc_message *m)
{
	char phase[64], reason[IPC_TEXT_MAX + 1];
	uint32_t state = ipc_get_u32(m);
	double left = ipc_get_f64(m);
	const struct settings *s = &keeper.settings;
	bool returned;

	ipc_get_text(m, phase, sizeof phase);
	ipc_get_text(m, reason, sizeof reason);
	if (!ipc_end(m) || state > HOST_STOPPED) {
		m->bad = true;
		return;
	}
	returned = state < HOST_FINISHING && w->said >= HOST_FINISHING;
	w->said = (enum host_state)state;
	copy_word(w->phase, sizeof w->phase, phase);
	if (w->generation != keeper.active || state == HOST_STOPPED)
		return;
	if (keeper.state >= HOST_FINISHING && state < HOST_FINISHING) {
		if (!returned)
			return; /* it said this before it heard of the stop */
		keeper_undo_stop();
	}
	if (s->hammer_time >= 0 && state == HOST_FINISHING)
		keeper.hammer_at = clock_monotonic() + (left > 0 ? left : 0) + s->hammer_time;
	if (s->hammer_time >= 0 && state == HOST_STOPPING && keeper.hammer_at == KEEPER_NEVER)
		keeper.hammer_at = clock_monotonic() + s->hammer_time;
	keeper_enter((enum host_state)state, w->phase, reason);
}

static void on_beat(struct worker *w, struct ipc_message *m)
{
	uint32_t ready = ipc_get_u32(m), sessions = ipc_get_u32(m), flight = ipc_get_u32(m);
	double lag = ipc_get_f64(m);

	if (!ipc_end(m))
		return;
	w->beat = clock_monotonic();
	w->ready = ready;
	w->sessions = sessions;
	w->in_flight = flight;
	w->lag = lag;
	worker_send_status(w);
}

static void on_request(struct worker *w, struct ipc_message *m)
{
	char verb[32], text[IPC_TEXT_MAX + 1];
	uint32_t id = m->header.id;
	int v;

	ipc_get_text(m, verb, sizeof verb);
	ipc_get_text(m, text, sizeof text);
	if (!ipc_end(m))
		return;
	v = host_verb_of(verb);
	if (v <= VERB_NONE)
		worker_result(w, id, false, "no such verb", -1);
	else
		signals_request(w, id, (enum host_verb)v, text);
}

static void on_answer(struct worker *w, struct ipc_message *m)
{
	char result[16], text[IPC_TEXT_MAX + 1];

	ipc_get_text(m, result, sizeof result);
	ipc_get_text(m, text, sizeof text);
	if (ipc_end(m) && w->generation == keeper.active)
		signals_answer(m->header.id, result, text);
}

static void on_leaving(struct worker *w, struct ipc_message *m)
{
	char text[IPC_TEXT_MAX + 1];
	uint32_t code = ipc_get_u32(m);

	ipc_get_text(m, text, sizeof text);
	if (!ipc_end(m))
		return;
	w->leaving = true;
	w->code = (int)(code & 0xff);
	log_debug("worker g%u.%u leaves with status %d", w->generation, w->number, w->code);
}

static void dispatch(struct worker *w, struct ipc_message *m)
{
	if (m->header.generation != w->generation || m->header.worker != w->number) {
		m->bad = true;
		return;
	}
	switch ((enum ipc_type)m->header.type) {
	case IPC_READY: on_ready(w); break;
	case IPC_HOLD: on_hold(w, m); break;
	case IPC_UNHOLD: on_unhold(w, m); break;
	case IPC_BIND: on_bind(w, m); break;
	case IPC_STATE: on_state(w, m); break;
	case IPC_BEAT: on_beat(w, m); break;
	case IPC_REQUEST: on_request(w, m); break;
	case IPC_ANSWER: on_answer(w, m); break;
	case IPC_LEAVING: on_leaving(w, m); break;
	default: m->bad = true; break;
	}
}

void worker_readable(struct worker *w)
{
	/* bounded, so that a worker that floods does not starve the others */
	for (int i = 0; i < 64 && w->channel >= 0; i++) {
		int got = ipc_recv(w->channel, &in, IPC_FROM_WORKER);

		if (got < 0 && errno == EAGAIN)
			return;
		if (got == 0) {
			fd_close(&w->channel); /* its death follows, or the start timeout */
			return;
		}
		if (got > 0) {
			dispatch(w, &in);
			ipc_close_fds(&in);
		}
		if (got < 0 || !ipc_end(&in)) {
			log_error("worker g%u.%u broke the protocol (%s): it is killed",
			    w->generation, w->number,
			    got < 0 ? strerror(errno) : ipc_type_name(in.header.type));
			fd_close(&w->channel);
			worker_kill(w, SIGKILL);
			return;
		}
	}
}

/* ---- death ---- */

void worker_kill(struct worker *w, int signo)
{
	if (w->pidfd >= 0)
		(void)syscall(SYS_pidfd_send_signal, w->pidfd, signo, NULL, 0);
}

static void count_death(struct worker *w, double now)
{
	const struct settings *s = &keeper.settings;
	double *oldest = &w->deaths[s->limit_count - 1];

	if (now - w->started >= s->limit_seconds)
		w->strikes = 0;
	w->strikes++;
	memmove(w->deaths + 1, w->deaths, sizeof w->deaths - sizeof *w->deaths);
	w->deaths[0] = now;
	if (w->was_up && now - w->started >= s->limit_seconds)
		w->failing = false;
	if (*oldest > 0 && now - *oldest <= s->limit_seconds)
		w->failing = true;
}

static void schedule_restart(struct worker *w, const char *how)
{
	double now = clock_monotonic(), delay;

	count_death(w, now);
	delay = backoff(w);
	w->state = WORKER_WAITING;
	w->restart_at = now + delay;
	w->restarts++;
	keeper.restarts++;
	FAILPOINT("keeper-restart");
	if (w->failing)
		log_error("worker g%u.%u ended: %s, %u deaths within %.0f s: failed, next try in "
			  "%.1f s",
		    w->generation, w->number, how, keeper.settings.limit_count,
		    keeper.settings.limit_seconds, delay);
	else if (delay > 0)
		log_warn("worker g%u.%u ended: %s, restarting in %.1f s", w->generation, w->number,
		    how, delay);
	else
		log_warn(
		    "worker g%u.%u ended: %s, restarting at once", w->generation, w->number, how);
}

static void name_end(char *how, size_t size, int status, bool by_signal)
{
	const char *word = by_signal ? sigabbrev_np(status) : NULL;

	if (!by_signal)
		snprintf(how, size, "exit status %d", status);
	else
		snprintf(how, size, "signal %d (SIG%s)", status, word ? word : "?");
}

static void close_worker(struct worker *w)
{
	/* what is still in the channel was said before the death: LEAVING above all */
	for (int i = 0; i < 64 && w->channel >= 0; i++)
		worker_readable(w);
	fd_close(&w->channel);
	fd_close(&w->pidfd);
	w->pid = 0;
	w->waiting_room = false;
}

void worker_died(struct worker *w, int status, bool by_signal)
{
	char how[48];

	close_worker(w);
	name_end(how, sizeof how, status, by_signal);
	keeper.last_exit = by_signal ? 0 : status;
	keeper.last_signal = by_signal ? status : 0;
	w->state = WORKER_ENDED;
	if (w->leaving && !by_signal) {
		log_info("worker g%u.%u ended: %s", w->generation, w->number, how);
		keeper_left(w, w->code);
	} else if (keeper.stopping) {
		log_warn("worker g%u.%u ended: %s, while %s", w->generation, w->number, how,
		    host_state_name(keeper.state));
		keeper_left(w, keeper.hammered ? KEEPER_EXIT_EXPIRED : KEEPER_EXIT_SOFTWARE);
	} else if (!keeper_generation(w->generation)->was_ready) {
		log_error(
		    "worker g%u.%u ended before it was ready: %s", w->generation, w->number, how);
		keeper_start_failed(
		    w, by_signal || status == 0 || w->aborted ? KEEPER_EXIT_SOFTWARE : status);
	} else {
		schedule_restart(w, how);
	}
	worker_event(
	    w, w->failing ? "failed" : "ended", by_signal ? 0 : status, by_signal ? status : 0);
	if (w->failing && w->state == WORKER_WAITING && !worker_speaker()) {
		keeper.failed = true;
		keeper_enter(HOST_FAILED, "", how);
	}
}

/* ---- clocks ---- */

static bool is_traced(pid_t pid)
{
	char name[64], text[1024];
	const char *p;
	ssize_t n;
	int fd;

	snprintf(name, sizeof name, "/proc/%d/status", (int)pid);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof text - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	p = strstr(text, "\nTracerPid:");
	return p && atoi(p + 11) != 0;
}

static double beat_due(const struct worker *w)
{
	if (w->state != WORKER_UP || keeper.settings.worker_timeout < 0)
		return KEEPER_NEVER;
	return w->beat + keeper.settings.worker_timeout;
}

/* SIGABRT first: a handler of a debugger or a sanitizer may still say where it hangs. */
static void end_hung(struct worker *w, double now, const char *what, double limit)
{
	if (is_traced(w->pid)) {
		log_info("worker g%u.%u: %s for %.1f s, but it is traced: not judged",
		    w->generation, w->number, what, limit);
		w->beat = now;
		w->start_due = w->state == WORKER_STARTING ? now + limit : KEEPER_NEVER;
		return;
	}
	log_error("worker g%u.%u: %s for %.1f s: SIGABRT, SIGKILL in %d s", w->generation,
	    w->number, what, limit, ABORT_WAIT);
	w->aborted = true;
	w->kill_due = now + ABORT_WAIT;
	worker_kill(w, SIGABRT);
}

void worker_clock(struct worker *w, double now)
{
	const struct settings *s = &keeper.settings;

	if (w->state == WORKER_WAITING && now >= w->restart_at && !keeper.stopping)
		worker_start(w);
	if (!worker_lives(w))
		return;
	if (now >= w->kill_due) {
		log_error("worker g%u.%u: SIGKILL", w->generation, w->number);
		worker_kill(w, SIGKILL);
		w->kill_due = KEEPER_NEVER;
	} else if (!w->aborted && w->state == WORKER_STARTING && now >= w->start_due) {
		end_hung(w, now, "not ready", s->start_timeout);
	} else if (!w->aborted && now >= beat_due(w)) {
		end_hung(w, now, "no beat", s->worker_timeout);
	}
}

double worker_due(const struct worker *w)
{
	double due = KEEPER_NEVER;

	if (w->state == WORKER_WAITING)
		return keeper.stopping ? KEEPER_NEVER : w->restart_at;
	if (!worker_lives(w))
		return KEEPER_NEVER;
	if (w->aborted)
		return w->kill_due;
	due = w->state == WORKER_STARTING ? w->start_due : beat_due(w);
	return due;
}
