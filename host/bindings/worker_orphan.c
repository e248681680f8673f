#include "bindings/worker_orphan.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/fd.h"
#include "base/log.h"
#include "bindings/worker_channel.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* How often a new keeper is looked for (s). */
#define LOOK_EVERY 0.2
/* The kernel ends an orphan that did not begin to end itself this long after orphan_timeout (s). */
#define GRACE 30.0

static struct worker_channel *const c = &worker_channel;

static struct {
	ev_timer look;
	timer_t alarm;
	bool armed;
	char refusal[IPC_TEXT_MAX + 1]; /* the last one, so that it is logged once */
} o;

/* ---- the last deadline ---- */

static int make_alarm(void)
{
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
	sigset_t alarms;

	(void)signal(SIGALRM, SIG_DFL);
	sigemptyset(&alarms);
	sigaddset(&alarms, SIGALRM);
	(void)sigprocmask(SIG_UNBLOCK, &alarms, NULL);
	return timer_create(CLOCK_MONOTONIC, &ev, &o.alarm);
}

void orphan_end_within(double seconds)
{
	struct itimerspec t = {.it_value = {.tv_sec = (time_t)seconds + 1}};

	if (!c->lost)
		return;
	if (!o.armed && make_alarm() < 0) {
		log_error("cannot arm the orphan's last timer: %s", strerror(errno));
		return;
	}
	o.armed = true;
	if (timer_settime(o.alarm, 0, &t, NULL) < 0)
		log_error("cannot set the orphan's last timer: %s", strerror(errno));
}

/* ---- handing back ---- */

static int open_self(void)
{
	return open("/proc/self/exe", O_PATH | O_CLOEXEC);
}

static void hand_one_back(const struct channel_held *h)
{
	bool kept = strncmp(h->name, IPC_KEPT_PREFIX, sizeof IPC_KEPT_PREFIX - 1) == 0;
	int fd = channel_held_fd(h);

	if (fd >= 0 && (kept || ipc_fd_is(fd, IPC_FD_LISTENER)))
		(void)channel_tell(kept ? IPC_KEEP : IPC_HOLD, 0, "sd", h->name, fd);
}

static void hand_previous_back(void)
{
	if (c->previous_settings < 0 || c->previous_program < 0)
		return;
	(void)channel_tell(IPC_PREVIOUS, 0, "dd", c->previous_settings, c->previous_bundle);
	(void)channel_tell(IPC_PREVIOUS_PROGRAM, 0, "d", c->previous_program);
}

static void hand_back(void)
{
	int program = open_self();

	/* What the channel does not take at once is queued, in this order. */
	(void)channel_tell(IPC_ATTACH, 0, "uuuusdd", (uint32_t)c->state, c->is_ready, c->workers,
	    c->restarts, c->nonce, c->settings_fd, c->bundle);
	if (program >= 0)
		(void)channel_tell(IPC_PROGRAM, 0, "d", program);
	fd_close(&program);
	hand_previous_back();
	for (size_t i = 0; i < c->nheld; i++)
		hand_one_back(&c->held[i]);
	(void)channel_tell(IPC_ATTACHED, 0, "");
	FAILPOINT("worker-attach");
}

static int connect_keeper(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd;

	/* settings_check: the folder's path has at most 90 bytes */
	snprintf(a.sun_path, sizeof a.sun_path, "%.90s/keeper.sock", c->settings.runtime_path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) < 0)
		fd_close(&fd); /* nobody there yet, or too many at once */
	return fd;
}

static void on_look(struct ev_loop *loop, ev_timer *w, int events)
{
	int fd;

	(void)loop;
	(void)w;
	(void)events;
	if (c->fd >= 0)
		return; /* offered; the answer, or the end of that keeper, comes */
	fd = connect_keeper();
	if (fd < 0)
		return;
	channel_connect_take(fd);
	hand_back();
}

/* ---- from kept to lost and back ---- */

static void stop_looking(void)
{
	struct ev_loop *loop = channel_loop();

	if (!loop || !ev_is_active(&o.look))
		return;
	ev_ref(loop);
	ev_timer_stop(loop, &o.look);
}

void orphan_stop(void)
{
	stop_looking();
}

void orphan_begin(void)
{
	struct ev_loop *loop = channel_loop();

	channel_disconnect();
	if (c->lost) {
		/* it did not take us: perhaps it does not know our version */
		c->version = c->version == IPC_VERSION ? IPC_VERSION_OLDEST : IPC_VERSION;
		return;
	}
	c->lost = true;
	o.refusal[0] = '\0';
	log_error("the keeper (pid %u) has died: this worker serves on, looks for a new one in %s, "
		  "and finishes after %.0f s without",
	    c->keeper_pid, c->settings.runtime_path, c->settings.orphan_timeout);
	orphan_end_within(c->settings.orphan_timeout + GRACE);
	ev_timer_init(&o.look, on_look, LOOK_EVERY, LOOK_EVERY);
	ev_set_priority(&o.look, EV_MAXPRI);
	ev_timer_start(loop, &o.look);
	ev_unref(loop);
	FAILPOINT("worker-lost");
	if (c->on_message)
		c->on_message(NULL);
}

static void be_refused(const struct ipc_message *m)
{
	char text[IPC_TEXT_MAX + 1];
	uint32_t ok;

	if (!ipc_unpack(m, "us", &ok, text, sizeof text) || ok || strcmp(text, o.refusal) == 0)
		return;
	memcpy(o.refusal, text, sizeof text);
	log_error("a keeper refuses this worker: %s; it goes on until orphan_timeout", text);
}

static void be_adopted(uint32_t keeper)
{
	stop_looking();
	if (o.armed)
		(void)timer_delete(o.alarm);
	o.armed = false;
	c->lost = false;
	c->keeper_pid = keeper;
	log_info("the keeper with pid %u has taken this worker over", keeper);
	if (c->is_ready)
		channel_start_beats();
	FAILPOINT("worker-adopted");
}

bool orphan_heard(const struct ipc_message *m)
{
	uint32_t keeper;

	if (m->header.type == IPC_ADOPTED && ipc_unpack(m, "u", &keeper)) {
		be_adopted(keeper);
		return true;
	}
	if (m->header.type == IPC_RESULT)
		be_refused(m);
	return false;
}
