/* Orphans: workers of a keeper that died find us through keeper.sock and are taken over with all
 * that they hold. Which of their generations is the host, and how long they are waited for:
 * attach_settle.c.
 *
 *   An orphan's words: ATTACH (who it is; its settings and bundle), PROGRAM, HOLD for each
 *   descriptor, ATTACHED. From ATTACH on it has a worker's place, words.c reads the rest; from
 *   ATTACHED on it is a worker like any other, except that we are not its parent: its end shows at
 *   its pidfd, its exit status is its LEAVING or unknown.
 *
 * The uid of the socket's peer and the instance's nonce, which only this host's processes know,
 * decide who is one of ours; the pidfd is opened while the socket is open, and the start time must
 * be the one that `state` names. Who comes after FOUND is taken as well: a late one of the active
 * generation, or an older one that finishes. */
#include "proc/attach.h"

#include "proc/table.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

/* A connection that says nothing is closed after this (s). */
#define WORD_WAIT 1.0

static struct attach *const a = &keeper.attach;
static struct ipc_message message;

/* ---- who may come ---- */

struct orphan *attach_named(uint32_t generation, uint32_t number)
{
	for (uint32_t i = 0; i < a->nnamed; i++)
		if (a->named[i].generation == generation && a->named[i].number == number)
			return &a->named[i];
	return NULL;
}

/* When the process started, by our two clocks. */
static void date_start(struct worker *w)
{
	struct timespec t;
	double age = 0;

	if (clock_gettime(CLOCK_BOOTTIME, &t) == 0)
		age = (double)t.tv_sec + (double)t.tv_nsec / 1e9 -
		      (double)w->ticks / (double)sysconf(_SC_CLK_TCK);
	w->started = clock_monotonic() - age;
	w->started_at = clock_realtime() - age;
}

static uid_t workers_uid(void)
{
	bool drops = geteuid() == 0 && keeper.settings.uid != SETTINGS_NO_ID;

	return drops ? (uid_t)keeper.settings.uid : geteuid();
}

/* The peer's pidfd and start time; NULL or why it is none of ours. */
static const char *identify(int channel, struct worker *w)
{
	const struct orphan *o = attach_named(w->generation, w->number);
	struct ucred peer;
	socklen_t size = sizeof peer;

	if (getsockopt(channel, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || peer.pid <= 0)
		return "unknown peer";
	if (peer.uid != workers_uid())
		return "it runs as another user";
	w->pid = peer.pid;
	w->pidfd = (int)syscall(SYS_pidfd_open, peer.pid, 0);
	w->ticks = state_ticks(peer.pid);
	if (w->pidfd < 0 || w->ticks == 0)
		return "it has gone";
	if (o && (o->pid != w->pid || o->ticks != w->ticks))
		return "the state file names another process";
	return NULL;
}

/* ---- its generation ---- */

/* A worker may not say as whom the next one runs: the config that this start has read does. */
static bool same_rights(const struct settings *s)
{
	const struct settings *ours = &keeper.settings;

	return geteuid() != 0 ||
	       (s->uid == ours->uid && s->gid == ours->gid && s->run_as_root == ours->run_as_root);
}

static const char *make_generation(uint32_t number, struct ipc_message *m)
{
	struct generation_parts parts = {keeper.binary, m->fds[0], m->fds[1]};
	static struct settings s;
	const char *why;

	if (generation_of(number))
		return NULL;
	why = settings_read(parts.settings, &s);
	if (!why && !same_rights(&s))
		why = "its config names another user than the one on disk";
	if (!why)
		why = generation_adopt(number, &parts);
	if (!why && number > keeper.highest)
		keeper.highest = number;
	return why;
}

/* Whether a binary is as safe as ours. */
static bool is_safe(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && (st.st_uid == 0 || st.st_uid == geteuid()) &&
	       (st.st_mode & 0022) == 0;
}

static bool is_coming(const struct worker *w)
{
	return w->adopted && w->state == WORKER_STARTING && !w->attached;
}

/* What a restart of this generation runs; ours unless the orphan's is as safe as ours. */
bool attach_program(struct worker *w, int fd)
{
	struct generation *g = generation_of(w->generation);
	bool allowed = is_coming(w);

	if (allowed && is_safe(fd))
		fd_swap(&g->parts.binary, &fd);
	else if (allowed)
		log_warn("generation %u: others may write its binary: a restart runs the keeper's",
		    w->generation);
	fd_close(&fd);
	return allowed;
}

/* All workers were told the same; the program comes last and makes it valid. */
bool attach_previous(struct worker *w, struct ipc_message *m)
{
	static struct settings s;
	struct generation_parts *p = &keeper.previous;
	int fd;

	if (!is_coming(w) || !ipc_unpack(m, ""))
		return false;
	if (m->header.type == IPC_PREVIOUS) {
		if (settings_read(m->fds[0], &s) || !same_rights(&s))
			return false;
		parts_close(p);
		p->settings = ipc_give_fd(m, 0);
		p->bundle = ipc_give_fd(m, 1);
		return true;
	}
	fd = ipc_give_fd(m, 0);
	if (p->settings >= 0 && is_safe(fd))
		fd_swap(&p->binary, &fd);
	fd_close(&fd);
	return true;
}

/* ---- one that comes ---- */

struct worker *attach_place(uint32_t generation, uint32_t number)
{
	struct worker *w = worker_of(generation, number);

	if (w)
		return worker_lives(w) ? NULL : w; /* one that waits for its restart needs none */
	FOR_WORKERS (other)
		if (other->state == WORKER_NONE)
			return other;
	return NULL;
}

static void fill(struct worker *w, const struct worker *as, int channel, bool was_ready)
{
	double now = clock_monotonic();

	worker_slot_init(w, as->generation, as->number);
	w->adopted = true;
	w->state = WORKER_STARTING;
	w->pid = as->pid;
	w->pidfd = as->pidfd;
	w->ticks = as->ticks;
	w->restarts = as->restarts;
	w->said = as->said;
	w->was_up = was_ready;
	w->channel = channel;
	w->slot.header.version = as->slot.header.version;
	w->beat = now;
	w->start_due = now + keeper.settings.start_timeout;
	w->kill_due = KEEPER_NEVER;
	w->held_next = KEEPER_HELD;
	date_start(w);
}

/* NULL, or why it is refused; then only the pidfd may be open. */
static const char *admit(int channel, struct ipc_message *m)
{
	struct worker as = {
	    .generation = m->header.generation, .number = m->header.worker, .pidfd = -1};
	char nonce[sizeof keeper.nonce];
	uint32_t state, ready, workers;
	const char *why;
	struct worker *w;

	if (m->header.type != IPC_ATTACH ||
	    !ipc_unpack(m, "uuuus", &state, &ready, &workers, &as.restarts, nonce, sizeof nonce) ||
	    as.generation == 0 || as.number == 0 || as.number > workers ||
	    workers > SETTINGS_WORKERS || state > HOST_STOPPED)
		return "not an orphan's first word";
	if (strcmp(nonce, keeper.nonce) != 0)
		return "it belongs to another host (the nonce is not ours)";
	as.said = (enum host_state)state;
	as.slot.header.version = m->header.version;
	why = identify(channel, &as);
	w = why ? NULL : attach_place(as.generation, as.number);
	if (!why && !w)
		why = "its place is taken";
	if (!why)
		why = make_generation(as.generation, m);
	if (why) {
		fd_close(&as.pidfd);
		return why;
	}
	fill(w, &as, channel, ready != 0);
	FAILPOINT("keeper-attach");
	return NULL;
}

void attach_end_other(struct generation *g)
{
	bool finishes = false;

	FOR_WORKERS (w)
		finishes |= w->generation == g->number && w->attached && worker_lives(w) &&
			    w->said >= HOST_FINISHING;
	if (!finishes)
		generation_retire(g, g->number > keeper.active);
	else if (g->hammer_at == KEEPER_NEVER && g->settings.hammer_time >= 0)
		/* its STATE, which follows, moves this */
		g->hammer_at = clock_monotonic() + g->settings.hammer_time;
}

static void refuse(int channel, const struct ipc_message *to, const char *why)
{
	static struct ipc_message answer;
	uint32_t generation = to->header.generation, number = to->header.worker;

	log_warn("worker g%u.%u of a keeper that died is refused: %s", generation, number, why);
	ipc_pack(&answer, IPC_RESULT, 0, "us", 0, why);
	answer.header.version = to->header.version;
	answer.header.generation = generation;
	answer.header.worker = number;
	(void)ipc_send(channel, &answer);
}

void attach_accept(void)
{
	struct knock *k = a->knocks;
	int fd = accept4(keeper.sock, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	for (int i = 1; i < KEEPER_KNOCKS; i++)
		if (k->fd >= 0 && (a->knocks[i].fd < 0 || a->knocks[i].due < k->due))
			k = &a->knocks[i];
	fd_close(&k->fd); /* the oldest, when all are taken: it tries again */
	k->fd = fd;
	k->due = clock_monotonic() + WORD_WAIT;
}

void attach_readable(struct knock *k)
{
	int got = ipc_recv(k->fd, &message, IPC_FROM_WORKER);
	const char *why;

	if (got < 0 && errno == EAGAIN)
		return;
	if (got > 0) {
		why = admit(k->fd, &message);
		if (!why)
			k->fd = -1; /* the worker's channel now */
		else
			refuse(k->fd, &message, why);
		ipc_close_fds(&message);
	}
	fd_close(&k->fd);
}

bool attach_done(struct worker *w)
{
	if (!w->adopted || w->state != WORKER_STARTING || w->attached)
		return false;
	w->attached = true;
	if (w->was_up)
		w->state = WORKER_UP;
	w->beat = clock_monotonic();
	log_info("worker g%u.%u (pid %d) has come back, %s", w->generation, w->number, (int)w->pid,
	    host_state_name(w->said));
	worker_tell(w, IPC_ADOPTED, 0, "u", (uint32_t)getpid());
	tickets_tell(w);
	if (keeper.upgrade.number && !a->waiting) /* else upgrade_resolve tells it */
		upgrade_tell(w);
	if (w->was_up)
		generation_of(w->generation)->was_ready = true;
	keeper.dirty = true;
	if (!a->waiting && w->generation != keeper.active)
		attach_end_other(generation_of(w->generation));
	return true;
}

double attach_clock(double now)
{
	double next = KEEPER_NEVER, settled;

	for (int i = 0; i < KEEPER_KNOCKS; i++) {
		struct knock *k = &a->knocks[i];

		if (k->fd >= 0 && now >= k->due)
			fd_close(&k->fd);
		if (k->fd >= 0 && k->due < next)
			next = k->due;
	}
	settled = attach_settle_clock(now);
	return settled < next ? settled : next;
}
