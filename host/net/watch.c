#include "net/watch.h"

#include <stddef.h>
#include <string.h>

static void on_io(struct ev_loop *ev, ev_io *w, int revents)
{
	struct watch *watch = (struct watch *)((char *)w - offsetof(struct watch, io));
	struct loop *loop = watch->loop;

	(void)ev;
	loop_enter(loop);
	watch->holds++;
	watch->fn(watch, (revents & EV_READ) != 0, (revents & EV_WRITE) != 0);
	if (--watch->holds == 0 && watch->io.fd < 0)
		watch->released(watch);
	loop_leave(loop);
}

void watch_init(struct watch *watch, struct loop *loop, watch_fn *fn, watch_released_fn *released)
{
	memset(watch, 0, sizeof *watch);
	ev_io_init(&watch->io, on_io, -1, 0);
	watch->loop = loop;
	watch->fn = fn;
	watch->released = released;
}

void watch_open(struct watch *watch, int fd, bool readable, bool writable)
{
	ev_io_set(&watch->io, fd, 0);
	watch_flags(watch, readable, writable);
}

void watch_flags(struct watch *watch, bool readable, bool writable)
{
	int events = (readable ? EV_READ : 0) | (writable ? EV_WRITE : 0);

	if (watch->io.fd < 0)
		return;
	ev_io_stop(watch->loop->ev, &watch->io);
	ev_io_modify(&watch->io, events);
	if (events)
		ev_io_start(watch->loop->ev, &watch->io);
}

/* The owner of the fd may close it next, or hold dups of it: epoll must not keep it. */
static void let_go(struct watch *watch)
{
	ev_io_stop(watch->loop->ev, &watch->io);
	loop_forget_fd(watch->loop, watch->io.fd);
	ev_io_set(&watch->io, -1, 0);
}

void watch_close(struct watch *watch)
{
	if (watch->io.fd < 0)
		return;
	let_go(watch);
	if (watch->holds == 0)
		watch->released(watch);
}

void watch_fini(struct watch *watch)
{
	if (watch->io.fd >= 0)
		let_go(watch);
}
