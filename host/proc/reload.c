/* The reader: at the start and for each reload it runs the config and hands over what it found. */
#include "proc/table.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/fd.h"
#include "base/log.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The reader ends itself after 10 s; this is for one that cannot (s). */
#define READER_LIMIT 12.0

static struct ipc_message message;

static struct reader *const r = &keeper.reader;

void reload_init(void)
{
	r->pidfd = r->channel = r->settings = r->bundle = r->faults = -1;
}

static void tell_reloading(void)
{
	struct timespec t;
	char text[64];

	clock_gettime(CLOCK_MONOTONIC, &t);
	snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%llu",
	    (unsigned long long)t.tv_sec * 1000000ULL + (unsigned long long)t.tv_nsec / 1000);
	notify_state(text);
}

int reload_start(void)
{
	struct spawned s;

	if (r->pid) {
		r->again = true; /* the file may have changed since this one read it */
		return 0;
	}
	if (spawn_role(SPAWN_READER, keeper.binary, keeper.loaded, &s) < 0)
		return -1;
	r->pid = s.pid;
	r->pidfd = s.pidfd;
	r->channel = s.channel;
	r->due = clock_monotonic() + READER_LIMIT;
	if (keeper.loaded) {
		FAILPOINT("keeper-reload");
		tell_reloading();
	} else {
		FAILPOINT("keeper-reader");
	}
	return 0;
}

void reload_readable(void)
{
	int got;

	while (r->channel >= 0 && (got = ipc_recv(r->channel, &message, IPC_FROM_READER)) != 0) {
		if (got < 0 && errno == EAGAIN)
			return;
		if (got < 0) {
			log_error("the reader broke the protocol: it is killed");
			(void)syscall(SYS_pidfd_send_signal, r->pidfd, SIGKILL, NULL, 0);
			break;
		}
		if (message.header.type == IPC_SETTINGS) {
			fd_close(&r->settings);
			fd_close(&r->bundle);
			r->settings = ipc_give_fd(&message, 0);
			r->bundle = ipc_give_fd(&message, 1);
		} else {
			fd_close(&r->faults);
			r->faults = ipc_give_fd(&message, 0);
		}
		ipc_close_fds(&message);
	}
	fd_close(&r->channel);
}

/* Tells whoever asked; a signal's reload is told to the speaker, which writes the faults to the
 * log. */
static void tell(bool ok, const char *text)
{
	struct worker *w =
	    r->request ? worker_of(r->requester_generation, r->requester) : worker_speaker();

	if (w && (r->request || !ok))
		worker_result(w, r->request, ok, text, r->faults);
	r->request = 0;
}

static void send_bundle(const struct generation *g)
{
	uint32_t id = ++keeper.next_id;

	for (int i = 0; i < KEEPER_WORKERS; i++) {
		struct worker *w = &keeper.workers[i];

		if (w->generation != g->number || !worker_lives(w))
			continue;
		ipc_begin(&message, IPC_BUNDLE, w->generation, w->number);
		message.header.id = id;
		ipc_put_fd(&message, g->settings);
		ipc_put_fd(&message, g->bundle);
		worker_send(w, &message);
	}
}

/* What cannot change while the host runs keeps its value; the log says so. */
static void keep_fixed(struct settings *s)
{
	const struct settings *old = &keeper.settings;

	if (strcmp(s->runtime_path, old->runtime_path) != 0 ||
	    strcmp(s->pidfile, old->pidfile) != 0 || s->uid != old->uid || s->gid != old->gid ||
	    s->workers != old->workers)
		log_warn("reload: a changed user, group, workers, pidfile or runtime_path needs a "
			 "new start");
	memcpy(s->runtime_path, old->runtime_path, sizeof s->runtime_path);
	memcpy(s->pidfile, old->pidfile, sizeof s->pidfile);
	s->uid = old->uid;
	s->gid = old->gid;
	s->workers = old->workers;
}

static const char *take_over(void)
{
	static struct settings s;
	struct generation *g = keeper_generation(keeper.active);
	const char *why;

	if (r->settings < 0 || r->bundle < 0)
		return "the reader ended without a word";
	why = settings_read(r->settings, &s);
	if (why)
		return why;
	keep_fixed(&s);
	keeper.settings = s;
	fd_close(&g->settings);
	fd_close(&g->bundle);
	g->settings = r->settings;
	g->bundle = r->bundle;
	r->settings = r->bundle = -1;
	send_bundle(g);
	keeper_retry();
	return NULL;
}

static void end_reload(int status, bool by_signal)
{
	const char *why = NULL;
	char text[64];

	if (by_signal || status != 0) {
		snprintf(text, sizeof text,
		    by_signal ? "the reader ended by signal %d"
			      : "the config has faults (status %d)",
		    status);
		why = text;
	} else {
		why = take_over();
	}
	if (why)
		log_error("reload refused: %s; the last good config stays", why);
	else
		log_info("reload: the new config goes to the workers");
	tell(!why, why ? why : "");
	notify_state("READY=1");
	if (r->again) {
		r->again = false;
		(void)reload_start();
	}
}

static void end_start(int status, bool by_signal)
{
	const char *why = NULL;

	if (by_signal) {
		log_error("the reader ended by signal %d before the config was read", status);
		keeper_end(status == SIGALRM || status == SIGKILL ? KEEPER_EXIT_CONFIG
								  : KEEPER_EXIT_SOFTWARE);
	} else if (status != 0) {
		keeper_end(status); /* it has printed every fault */
	} else {
		why = r->settings < 0 ? "the reader ended without a word"
				      : settings_read(r->settings, &keeper.settings);
		if (why) {
			log_error("the reader's %s", why);
			keeper_end(KEEPER_EXIT_SOFTWARE);
		} else {
			keeper_loaded();
		}
	}
}

void reload_died(int status, bool by_signal)
{
	reload_readable();
	fd_close(&r->channel);
	fd_close(&r->pidfd);
	r->pid = 0;
	if (keeper.loaded)
		end_reload(status, by_signal);
	else if (keeper.stopping)
		keeper_end(0);
	else
		end_start(status, by_signal);
	fd_close(&r->settings);
	fd_close(&r->bundle);
	fd_close(&r->faults);
}

void reload_clock(double now)
{
	if (!r->pid || now < r->due)
		return;
	log_error("the reader does not end: SIGKILL");
	(void)syscall(SYS_pidfd_send_signal, r->pidfd, SIGKILL, NULL, 0);
	r->due = KEEPER_NEVER;
}
