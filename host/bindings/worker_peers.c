#include "bindings/worker_peers.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "bindings/worker_channel.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	PEERS_MAGIC = 0x31505747, /* "GWP1" */
	PEERS_VERSION = 1,
	PEERS_A_TURN = 16, /* messages of one worker before others have their turn */
};

struct header {
	uint32_t magic;
	uint16_t version, worker;
	uint32_t generation, length;
};

static struct peer {
	bool here; /* fd is owned */
	int fd;
	ev_io read;
	double told; /* when the log last said that messages were dropped */
	unsigned dropped;
} peers[SETTINGS_WORKERS];

static peers_fn *listener;

static struct peer *peer_of(uint32_t number)
{
	struct peer *p = number >= 1 && number <= SETTINGS_WORKERS ? &peers[number - 1] : NULL;

	return p && p->here ? p : NULL;
}

static uint32_t number_of(const struct peer *p)
{
	return (uint32_t)(p - peers) + 1;
}

/* ---- the watchers: none of them keeps the loop alive ---- */

static void on_readable(struct ev_loop *loop, ev_io *w, int events);

static void watch(struct peer *p)
{
	struct ev_loop *loop = channel_loop();

	if (!loop || !listener || ev_is_active(&p->read))
		return;
	ev_io_init(&p->read, on_readable, p->fd, EV_READ);
	p->read.data = p;
	ev_io_start(loop, &p->read);
	ev_unref(loop);
}

static void unwatch(struct peer *p)
{
	struct ev_loop *loop = channel_loop();

	if (!loop || !ev_is_active(&p->read))
		return;
	ev_ref(loop);
	ev_io_stop(loop, &p->read);
}

static void forget(struct peer *p)
{
	unwatch(p);
	fd_close(&p->fd);
	p->here = false;
}

static void tell(struct peer *p, const char *text, size_t length)
{
	if (listener)
		listener(number_of(p), text, length);
}

/* ---- receiving ---- */

/* One message into `buffer`: its text's length; -1: nothing more now; -2: the channel is over. */
static ssize_t receive(struct peer *p, char *buffer)
{
	struct header h;
	struct iovec parts[2] = {{&h, sizeof h}, {buffer, PEERS_TEXT_MAX}};
	struct msghdr m = {.msg_iov = parts, .msg_iovlen = 2};
	ssize_t n = recvmsg(p->fd, &m, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return -1;
	if (n <= 0)
		return -2; /* it has ended, or is being killed */
	if (n < (ssize_t)sizeof h || (m.msg_flags & MSG_TRUNC) || h.magic != PEERS_MAGIC ||
	    h.version != PEERS_VERSION || h.worker != number_of(p) ||
	    h.generation != worker_channel.generation || h.length != (size_t)n - sizeof h) {
		log_error("worker %u: not a message of this version; its channel is closed",
		    number_of(p));
		return -2;
	}
	return (ssize_t)h.length;
}

static void on_readable(struct ev_loop *loop, ev_io *w, int events)
{
	static char buffer[PEERS_TEXT_MAX + 1];
	struct peer *p = w->data;

	(void)loop;
	(void)events;
	for (int i = 0; i < PEERS_A_TURN && p->here; i++) {
		ssize_t n = receive(p, buffer);

		if (n == -1)
			return;
		if (n < 0) {
			forget(p);
			tell(p, NULL, 0);
			return;
		}
		buffer[n] = '\0';
		tell(p, buffer, (size_t)n);
	}
}

/* ---- for others ---- */

void peers_listen(peers_fn *fn)
{
	listener = fn;
	for (size_t i = 0; i < SETTINGS_WORKERS; i++)
		if (peers[i].here)
			watch(&peers[i]);
}

void peers_take(uint32_t number, int fd)
{
	struct peer *p;

	if (number < 1 || number > SETTINGS_WORKERS) {
		fd_close(&fd);
		return;
	}
	p = &peers[number - 1];
	if (p->here)
		forget(p);
	*p = (struct peer){.here = true, .fd = fd};
	watch(p);
	tell(p, NULL, 0);
}

bool peers_has(uint32_t number)
{
	return peer_of(number) != NULL;
}

static void note_drop(struct peer *p)
{
	double now = clock_monotonic();

	p->dropped++;
	if (now - p->told < 1)
		return;
	log_warn("worker %u does not read: %u message(s) to it dropped", number_of(p), p->dropped);
	p->told = now;
	p->dropped = 0;
}

int peers_send(uint32_t number, const char *text, size_t length)
{
	struct peer *p = peer_of(number);
	struct header h = {PEERS_MAGIC, PEERS_VERSION, (uint16_t)worker_channel.worker,
	    worker_channel.generation, (uint32_t)length};
	struct iovec parts[2] = {{&h, sizeof h}, {(void *)text, length}};
	struct msghdr m = {.msg_iov = parts, .msg_iovlen = 2};

	if (!p) {
		errno = ENOTCONN;
		return -1;
	}
	if (length > PEERS_TEXT_MAX) {
		errno = EMSGSIZE;
		return -1;
	}
	if (sendmsg(p->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return 0;
	if (errno == EAGAIN || errno == ENOBUFS) {
		note_drop(p);
		errno = EAGAIN;
	}
	return -1;
}

void peers_stop(void)
{
	listener = NULL;
	for (size_t i = 0; i < SETTINGS_WORKERS; i++)
		if (peers[i].here)
			forget(&peers[i]);
}
