#include "proc/offer.h"

#include "proc/table.h"

#include <poll.h>

bool offer_held(struct worker *w)
{
	struct pollfd room = {.fd = w->channel, .events = POLLOUT};
	static struct ipc_message m;

	for (; w->held_next < KEEPER_HELD; w->held_next++) {
		const struct held *h = &keeper.held[w->held_next];

		if (h->fd < 0)
			continue;
		ipc_pack(&m, held_is_kept(h->name) ? IPC_KEPT : IPC_HELD, 0, "sd", h->name, h->fd);
		if (!worker_send(w, &m))
			return false;
		FAILPOINT("keeper-held");
	}
	ipc_pack(&m, IPC_BEGIN, 0, "");
	/* with room behind it: a channel to a peer is not kept for a full one (worker_tell) */
	if (poll(&room, 1, 0) != 1 || !worker_send(w, &m)) {
		w->held_next--; /* a free place or one sent twice: the next try ends here again */
		return false;
	}
	FAILPOINT("keeper-begin");
	return true;
}

/* We make the pair and forget it. Of two, the one that has begun last brings it about. */
void offer_peers(struct worker *w)
{
	int pair[2];

	FOR_WORKERS (other) {
		if (other == w || other->generation != w->generation || !worker_lives(other) ||
		    other->held_next < KEEPER_HELD || ipc_pair(pair) < 0)
			continue;
		worker_tell(w, IPC_PEER, 0, "ud", other->number, pair[0]);
		worker_tell(other, IPC_PEER, 0, "ud", w->number, pair[1]);
		close(pair[0]);
		close(pair[1]);
	}
}
