#include "net/share.h"

#include "base/clock.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { STALE = 3000 }; /* milliseconds */

static struct {
	struct share_slot *slots; /* NULL: alone */
	struct share_slot *mine;
	char path[PATH_MAX];
	ev_timer timer;
} share;

/* A count while there is no page, for the time when there is. */
static uint32_t held;

static uint32_t now_ms(void)
{
	return (uint32_t)(uint64_t)(clock_coarse() * 1000);
}

static void publish(void)
{
	__atomic_store_n(&share.mine->connections, held, __ATOMIC_RELAXED);
}

/* Once a second, not at each connection: it is for who hangs. */
static void mark(void)
{
	__atomic_store_n(&share.mine->mark, now_ms(), __ATOMIC_RELAXED);
}

static void on_second(struct ev_loop *ev, ev_timer *w, int revents)
{
	(void)ev;
	(void)w;
	(void)revents;
	mark();
}

/* With its blocks: a page of a file that a full disk has no room for is a SIGBUS. */
static int make_room(int fd, off_t size)
{
	if (fallocate(fd, 0, 0, size) == 0)
		return 0;
	return errno == EOPNOTSUPP ? ftruncate(fd, size) : -1;
}

int share_open(struct ev_loop *ev, const char *path, unsigned me)
{
	const size_t size = sizeof(struct share_slot) * SHARE_WORKERS;
	int fd;
	void *page;

	if (me < 1 || me > SHARE_WORKERS || strlen(path) >= sizeof share.path) {
		errno = ERANGE;
		return -1;
	}
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -1;
	if (make_room(fd, (off_t)size) < 0) {
		fd_close(&fd);
		return -1;
	}
	page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	fd_close(&fd);
	if (page == MAP_FAILED)
		return -1;
	share_close(ev, false);
	share.slots = page;
	share.mine = share.slots + me - 1;
	snprintf(share.path, sizeof share.path, "%s", path);
	publish();
	mark();
	ev_timer_init(&share.timer, on_second, 1, 1);
	ev_timer_start(ev, &share.timer);
	ev_unref(ev); /* it keeps no loop running */
	return 0;
}

void share_close(struct ev_loop *ev, bool remove)
{
	if (!share.slots)
		return;
	ev_ref(ev);
	ev_timer_stop(ev, &share.timer);
	__atomic_store_n(&share.mine->mark, 0, __ATOMIC_RELAXED);
	munmap(share.slots, sizeof *share.slots * SHARE_WORKERS);
	share.slots = share.mine = NULL;
	if (remove)
		(void)unlink(share.path);
}

void share_add(int n)
{
	held += (uint32_t)n;
	if (share.slots)
		publish();
}

/* Mine is more than 1/8 over the mean of n counts with that sum, mine included. One connection more
 * is never too many. */
static bool is_over(uint64_t mine, uint64_t sum, unsigned n)
{
	return (mine - (mine > 0)) * 8 * n > sum * 9;
}

/* The largest k for which mine + k of sum + k are not too many. */
static unsigned room_of(uint64_t mine, uint64_t sum, unsigned n, unsigned most)
{
	int64_t spare, room;

	if (n < 2)
		return most;
	if (is_over(mine, sum, n))
		return 0;
	spare = (int64_t)sum * 9 - ((int64_t)mine - 1) * 8 * (int64_t)n;
	room = spare / (8 * (int64_t)n - 9);
	return room < 1 ? 1 : room > most ? most : (unsigned)room;
}

unsigned share_room(unsigned most)
{
	uint32_t now;
	uint64_t sum = held;
	unsigned n = 1;

	if (!share.slots)
		return most;
	now = now_ms();
	for (struct share_slot *s = share.slots; s < share.slots + SHARE_WORKERS; s++) {
		uint32_t seen = __atomic_load_n(&s->mark, __ATOMIC_RELAXED);

		if (s == share.mine || !seen || now - seen + 1 > STALE) /* + 1: or just after */
			continue;
		sum += __atomic_load_n(&s->connections, __ATOMIC_RELAXED);
		n++;
	}
	return room_of(held, sum, n, most);
}
