/* Keys of TLS session tickets for every worker of every generation, so that a client resumes at
 * whoever accepts it, also after a crash. Newest first: the first makes tickets, all read.
 *
 * They exist as a sealed memfd that is never mapped, and on the stack of the two functions that
 * make it; nothing logs them, and no message has them in its body. */
#include "proc/table.h"

#include <sys/random.h>

/* A key makes tickets for this long and reads them for two such times more: 12 to 36 h in all (s).
 * Facts: reliability.md 4.6. */
#define ROTATION (12 * 3600.0)
/* A worker whose channel is full is tried again after this (s). */
#define RETRY 1.0

static int draw(unsigned char *bytes, size_t n)
{
	ssize_t got = getrandom(bytes, n, 0);

	if (got == (ssize_t)n)
		return 0;
	errno = got < 0 ? errno : EIO;
	return -1;
}

/* These keys, from now on. */
static int publish(unsigned char keys[IPC_TICKET_BYTES])
{
	int fd = fd_memfd("gadwall-tickets", keys, IPC_TICKET_BYTES);

	explicit_bzero(keys, IPC_TICKET_BYTES);
	if (fd < 0)
		return -1;
	fd_swap(&keeper.tickets, &fd);
	fd_close(&fd);
	keeper.tickets_due = clock_monotonic() + ROTATION;
	keeper.tickets_number++;
	return 0;
}

int tickets_open(void)
{
	unsigned char keys[IPC_TICKET_BYTES];

	return draw(keys, sizeof keys) < 0 ? -1 : publish(keys);
}

int tickets_rotate(void)
{
	unsigned char keys[IPC_TICKET_BYTES];
	const size_t kept = IPC_TICKET_BYTES - IPC_TICKET_KEY;

	if (pread(keeper.tickets, keys + IPC_TICKET_KEY, kept, 0) != (ssize_t)kept ||
	    draw(keys, IPC_TICKET_KEY) < 0) {
		explicit_bzero(keys, sizeof keys);
		return -1;
	}
	return publish(keys);
}

/* false: the channel is full. */
static bool send_to(struct worker *w)
{
	static struct ipc_message m;

	ipc_pack(&m, IPC_KEYS, 0, "d", keeper.tickets);
	if (!worker_send(w, &m))
		return false;
	keeper.tickets_told[w - keeper.workers] = keeper.tickets_number;
	return true;
}

void tickets_tell(struct worker *w)
{
	keeper.tickets_told[w - keeper.workers] = 0;
	(void)send_to(w);
}

double tickets_clock(double now)
{
	double due;

	if (now >= keeper.tickets_due) {
		if (tickets_rotate() < 0) {
			log_error("ticket keys stay as they are: %s", strerror(errno));
			keeper.tickets_due = now + ROTATION / 12;
		} else {
			log_info("new ticket keys go to the workers");
		}
	}
	due = keeper.tickets_due;
	FOR_WORKERS (w)
		if (worker_lives(w) && w->channel >= 0 &&
		    keeper.tickets_told[w - keeper.workers] != keeper.tickets_number && !send_to(w))
			due = now + RETRY;
	return due;
}
