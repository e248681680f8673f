#include "net/loop.h"

#include "base/clock.h"
#include "base/fd.h"
#include "net/conn.h"
#include "net/limits.h"
#include "net/listener.h"
#include "net/share.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

struct loop_tick {
	loop_tick_fn *fn;
	void *data;
	intptr_t number;
};

static struct loop *main_loop;

/* ---- the wheel ---- */

uint32_t loop_tick_now(const struct loop *loop)
{
	double now = clock_coarse() - loop->born;
	uint32_t tick = now > 0 ? (uint32_t)(int64_t)(now * WHEEL_TICKS_PER_SECOND) : 0;

	return tick + 1;
}

uint32_t loop_ticks_in(double after)
{
	enum { LONGEST = 100 * 24 * 3600 };

	if (!(after > 0) || isinf(after))
		return 0;
	return (uint32_t)((after < LONGEST ? after : LONGEST) * WHEEL_TICKS_PER_SECOND) + 1;
}

uint32_t loop_tick_after(const struct loop *loop, double after)
{
	uint32_t due = loop_tick_now(loop) + loop_ticks_in(after);

	return due ? due : 1;
}

void loop_set(struct loop *loop, const struct net_settings *settings)
{
	loop->settings = *settings;
	loop->read_ticks = loop_ticks_in(settings->read_timeout);
}

static void arm_wheel(struct loop *loop)
{
	uint32_t ticks;
	double at, after;

	if (!wheel_next(&loop->wheel, &ticks)) {
		ev_timer_stop(loop->ev, &loop->wheel_timer);
		return;
	}
	loop->wheel_due = loop->wheel.now + ticks;
	at = loop->born + (double)(loop->wheel_due - 1) / WHEEL_TICKS_PER_SECOND;
	after = at - clock_monotonic() + 0.005;
	ev_timer_stop(loop->ev, &loop->wheel_timer);
	ev_timer_set(&loop->wheel_timer, after > 0 ? after : 0, 0);
	ev_timer_start(loop->ev, &loop->wheel_timer);
}

static void on_wheel(struct ev_loop *ev, ev_timer *w, int revents)
{
	struct loop *loop = w->data;

	(void)ev;
	(void)revents;
	wheel_advance(&loop->wheel, loop_tick_now(loop));
	arm_wheel(loop);
}

void loop_deadline(struct loop *loop, struct wheel_item *item, uint32_t due)
{
	if (wheel_is_empty(&loop->wheel)) /* it stands still */
		loop->wheel.now = loop_tick_now(loop);
	wheel_insert(&loop->wheel, item, due);
	if (!ev_is_active(&loop->wheel_timer) || (int32_t)(item->due - loop->wheel_due) < 0)
		arm_wheel(loop);
}

/* ---- the end of a turn ---- */

int loop_nexttick(struct loop *loop, loop_tick_fn *fn, void *data, intptr_t number)
{
	if (loop->n_ticks == loop->cap_ticks) {
		size_t cap = loop->cap_ticks ? loop->cap_ticks * 2 : 16;
		struct loop_tick *more = realloc(loop->ticks, cap * sizeof *more);

		if (!more)
			return -1;
		loop->ticks = more;
		loop->cap_ticks = cap;
	}
	loop->ticks[loop->n_ticks++] = (struct loop_tick){fn, data, number};
	return 0;
}

static void run_ticks(struct loop *loop)
{
	size_t n = loop->n_ticks; /* those that are added meanwhile wait for the next turn */

	if (n == 0)
		return;
	for (size_t i = 0; i < n; i++) {
		struct loop_tick t = loop->ticks[i];

		loop_enter(loop);
		t.fn(t.data, t.number);
		loop_leave(loop);
	}
	memmove(loop->ticks, loop->ticks + n, (loop->n_ticks - n) * sizeof *loop->ticks);
	loop->n_ticks -= n;
}

static void on_prepare(struct ev_loop *ev, ev_prepare *w, int revents)
{
	struct loop *loop = w->data;

	(void)revents;
	run_ticks(loop);
	conn_flush_later(loop);
	if (loop->leaving && !loop->conns && !loop->listeners)
		loop_quit(loop, true);
	if (loop->n_ticks || loop->cork.later || loop->quitting)
		ev_idle_start(ev, &loop->idle); /* do not sleep on them */
	if (loop->turning) {
		double now = clock_monotonic();

		lag_add(&loop->lag, now - loop->turned_at, now);
	}
	loop->turning = false;
}

/* Right after the wait: every read of the turn counts its silence from here. */
static void on_check(struct ev_loop *ev, ev_check *w, int revents)
{
	struct loop *loop = w->data;

	(void)ev;
	(void)revents;
	loop->tick = loop_tick_now(loop);
	loop->turned_at = clock_monotonic();
	loop->turning = true;
}

double loop_late(const struct loop *loop)
{
	return clock_monotonic() - loop->turned_at;
}

static void on_idle(struct ev_loop *ev, ev_idle *w, int revents)
{
	(void)revents;
	ev_idle_stop(ev, w);
}

/* ---- running ---- */

void loop_deliver(struct loop *loop)
{
	do
		ev_invoke_pending(loop->ev);
	while (conn_read_listed(loop));
}

static void on_pending(struct ev_loop *ev)
{
	loop_deliver(ev_userdata(ev));
}

int loop_run(struct loop *loop)
{
	if (loop->running) {
		errno = EBUSY;
		return -1;
	}
	loop->running = true;
	while (!loop->quitting)
		ev_run(loop->ev, 0);
	loop->running = loop->quitting = loop->leaving = false;
	return 0;
}

int loop_step(struct loop *loop)
{
	uint64_t before = loop->events;

	if (loop->running) {
		errno = EBUSY;
		return -1;
	}
	loop->running = true;
	ev_run(loop->ev, EVRUN_NOWAIT);
	loop->running = false;
	return loop->events != before;
}

void loop_quit(struct loop *loop, bool quit)
{
	loop->quitting = quit;
	ev_break(loop->ev, quit ? EVBREAK_ALL : EVBREAK_CANCEL);
}

void loop_leave_when_empty(struct loop *loop, bool leave)
{
	loop->leaving = leave;
	if (!leave)
		loop_quit(loop, false);
}

void loop_forget_fd(struct loop *loop, int fd)
{
	if (loop->epoll_fd >= 0)
		epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

/* ---- beginning and end ---- */

/* libev does not tell its epoll descriptor; it is the one that appears while the loop is made. */
static int find_epoll(int before)
{
	char path[48], target[32] = "";

	snprintf(path, sizeof path, "/proc/self/fd/%d", before);
	if (readlink(path, target, sizeof target - 1) < 0)
		return -1;
	return strcmp(target, "anon_inode:[eventpoll]") == 0 ? before : -1;
}

static void start_watchers(struct loop *loop)
{
	loop->wheel_timer.data = loop->prepare.data = loop->idle.data = loop->check.data = loop;
	ev_set_priority(&loop->check, EV_MAXPRI);
	ev_set_userdata(loop->ev, loop);
	ev_set_invoke_pending_cb(loop->ev, on_pending);
	ev_prepare_start(loop->ev, &loop->prepare);
	ev_check_start(loop->ev, &loop->check);
}

static struct loop *loop_new(void)
{
	struct loop *loop = calloc(1, sizeof *loop);
	int probe = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (!loop || probe < 0)
		goto fail;
	close(probe); /* the lowest free number: what ev_loop_new gets next */
	loop->spare_fd = -1;
	loop->reads.most = 1;
	loop_set(loop, &net_settings_default);
	loop->rbuf = malloc(LOOP_BUFFER);
	loop->reads.buffer = malloc(LOOP_BUFFER);
	loop->limits = limits_new();
	loop->ev = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	if (cork_init(&loop->cork) < 0 || !loop->rbuf || !loop->reads.buffer || !loop->limits ||
	    !loop->ev)
		goto fail;
	loop->epoll_fd = find_epoll(probe);
	loop->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (getrandom(&loop->serials, sizeof loop->serials, GRND_NONBLOCK) < 0)
		loop->serials = (uint32_t)getpid() << 16;
	loop->born = clock_coarse();
	loop->turned_at = clock_monotonic();
	loop->born_real = clock_realtime();
	wheel_init(&loop->wheel, 1, conn_expire);
	ev_timer_init(&loop->wheel_timer, on_wheel, 0, 0);
	ev_prepare_init(&loop->prepare, on_prepare);
	ev_idle_init(&loop->idle, on_idle);
	ev_check_init(&loop->check, on_check);
	start_watchers(loop);
	return loop;
fail:
	if (loop) {
		limits_free(&loop->limits);
		cork_fini(&loop->cork);
		free(loop->reads.buffer);
		free(loop->rbuf);
		free(loop);
	}
	return NULL;
}

struct loop *loop_main(void)
{
	if (!main_loop)
		main_loop = loop_new();
	return main_loop;
}

void loop_main_free(void)
{
	struct loop *loop = main_loop;

	if (!loop)
		return;
	main_loop = NULL;
	while (loop->conns)
		conn_fini(loop->conns);
	while (loop->listeners)
		listener_fini(loop->listeners);
	share_close(loop->ev, true);
	ev_prepare_stop(loop->ev, &loop->prepare);
	ev_check_stop(loop->ev, &loop->check);
	ev_loop_destroy(loop->ev);
	fd_close(&loop->spare_fd);
	limits_free(&loop->limits);
	free(loop->ticks);
	cork_fini(&loop->cork);
	free(loop->reads.buffer);
	free(loop->rbuf);
	free(loop);
}
