#include "net/urgent.h"

#include "net/loop.h"

#include <poll.h>
#include <time.h>

static int find(const struct loop *loop, const ev_io *io)
{
	for (int i = 0; i < loop->n_urgent; i++)
		if (loop->urgent[i] == io)
			return i;
	return -1;
}

void urgent_remove(struct loop *loop, const ev_io *io)
{
	int at = find(loop, io);

	if (at >= 0)
		loop->urgent[at] = loop->urgent[--loop->n_urgent];
}

void urgent_set(struct loop *loop, ev_io *io, int admin)
{
	urgent_remove(loop, io);
	ev_set_priority(io, admin ? 1 : 0);
	if (admin && loop->n_urgent < URGENT_MOST)
		loop->urgent[loop->n_urgent++] = io;
}

static short poll_events(const ev_io *io)
{
	return (short)((io->events & EV_READ ? POLLIN : 0) | (io->events & EV_WRITE ? POLLOUT : 0));
}

/* As libev reads it: an error is for whoever waits. */
static int ev_events(short revents, int wanted)
{
	int events = (revents & POLLIN ? EV_READ : 0) | (revents & POLLOUT ? EV_WRITE : 0);

	if (revents & (POLLERR | POLLHUP))
		events = EV_READ | EV_WRITE;
	return events & wanted;
}

static int list(const struct loop *loop, ev_io **ios, struct pollfd *fds)
{
	int n = 0;

	for (int i = 0; i < loop->n_urgent; i++) {
		ev_io *io = loop->urgent[i];

		if (!ev_is_active(io))
			continue;
		ios[n] = io;
		fds[n++] = (struct pollfd){.fd = io->fd, .events = poll_events(io)};
	}
	return n;
}

static void deliver(struct loop *loop)
{
	struct pollfd fds[URGENT_MOST];
	ev_io *ios[URGENT_MOST];
	int n = list(loop, ios, fds);

	if (n == 0 || poll(fds, (nfds_t)n, 0) <= 0)
		return;
	for (int i = 0; i < n; i++) {
		int events;

		/* a callback before it may have closed or stopped this one */
		if (!fds[i].revents || find(loop, ios[i]) < 0 || !ev_is_active(ios[i]) ||
		    ios[i]->fd != fds[i].fd)
			continue;
		events = ev_events(fds[i].revents, ios[i]->events);
		events |= ev_clear_pending(loop->ev, ios[i]);
		if (events)
			ev_invoke(loop->ev, ios[i], events);
	}
}

void urgent_look(struct loop *loop)
{
	struct timespec t;

	if (loop->looking || !loop->running)
		return;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	if (t.tv_nsec == loop->looked)
		return;
	loop->looked = t.tv_nsec;
	loop->looking = true;
	deliver(loop);
	loop->looking = false;
}
