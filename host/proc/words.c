/* What workers say: the words of ipc.h. A handler returns false for what breaks the protocol.
 */
#include "proc/table.h"

/* Bounded, so that a worker that floods does not starve the others. */
enum { WORDS_PER_TURN = 64 };

/* So many descriptors stay free for what the keeper has to be able to do: a start of a worker, a
 * reader, its files. Nothing is held there. */
enum { SPARE_FDS = 32 };

static bool on_ready(struct worker *w)
{
	const struct generation *g = generation_of(w->generation);

	if (w->state != WORKER_STARTING)
		return false;
	w->state = WORKER_UP;
	w->was_up = true;
	w->beat = clock_monotonic();
	if (w->said == HOST_STARTING)
		w->said =
		    keeper.passive || g->role == GENERATION_JOINING ? HOST_PASSIVE : HOST_SERVING;
	log_info(
	    "worker g%u.%u is ready after %.3f s", w->generation, w->number, w->beat - w->started);
	if (keeper.upgrade.number)
		upgrade_tell(w);
	upgrade_tell_previous(w);
	generation_worker_ready(w);
	return true;
}

static bool on_hold(struct worker *w, struct ipc_message *m)
{
	char name[KEEPER_NAME];
	const char *why;

	if (!ipc_unpack(m, "s", name, sizeof name) ||
	    held_is_kept(name) != (m->header.type == IPC_KEEP))
		return false;
	why = held_take(name, ipc_give_fd(m, 0), w->generation);
	if (why)
		log_warn(
		    "worker g%u.%u: '%s' is not held: %s", w->generation, w->number, name, why);
	return true;
}

static bool on_unhold(struct worker *w, struct ipc_message *m)
{
	char name[KEEPER_NAME];

	if (!ipc_unpack(m, "s", name, sizeof name))
		return false;
	held_drop(name, w->generation);
	return true;
}

static bool on_bind(struct worker *w, struct ipc_message *m)
{
	uint32_t index;
	int fd;

	if (!ipc_unpack(m, "u", &index))
		return false;
	fd = held_bind(index);
	if (fd < 0)
		worker_tell(w, IPC_RESULT, m->header.id, "us", 0, strerror(errno));
	else
		worker_tell(w, IPC_BOUND, m->header.id, "d", fd);
	fd_close(&fd);
	return true;
}

/* What another worker of the generation has bound in a reload, which this one finds in use. */
static bool on_want(struct worker *w, struct ipc_message *m)
{
	char name[KEEPER_NAME];
	int fd;

	if (!ipc_unpack(m, "s", name, sizeof name) || held_is_kept(name))
		return false;
	fd = held_lend(name, w->generation);
	if (fd < 0)
		worker_tell(w, IPC_RESULT, m->header.id, "us", 0, "not held");
	else
		worker_tell(w, IPC_BOUND, m->header.id, "d", fd);
	return true;
}

/* From the word of one worker to the state of the host. */
static void follow(struct worker *w, enum host_state before, double left, const char *reason)
{
	double hammer = keeper.settings.hammer_time, now = clock_monotonic();
	struct generation *g = generation_of(w->generation);

	if (g->role == GENERATION_RETIRING && w->said == HOST_FINISHING && hammer >= 0 &&
	    !g->told_to_end)
		g->hammer_at = now + left + hammer;
	if (w->generation != keeper.active || w->said == HOST_STOPPED)
		return;
	if (keeper.state >= HOST_FINISHING && keeper.state != HOST_FAILED &&
	    w->said < HOST_FINISHING) {
		if (before < HOST_FINISHING)
			return; /* it said this before it heard of the stop */
		keeper_undo_stop();
	}
	/* a finish has its idle wait first; the hammer counts from the end of that */
	if (hammer >= 0 && w->said == HOST_FINISHING)
		keeper.hammer_at = now + left + hammer;
	else if (hammer >= 0 && w->said == HOST_STOPPING && keeper.hammer_at == KEEPER_NEVER)
		keeper.hammer_at = now + hammer;
	keeper_enter(w->said, w->phase, reason);
}

static bool on_state(struct worker *w, struct ipc_message *m)
{
	char reason[IPC_TEXT_MAX + 1];
	enum host_state before = w->said;
	uint32_t state;
	double left;

	if (!ipc_unpack(
		m, "ufss", &state, &left, w->phase, sizeof w->phase, reason, sizeof reason) ||
	    state > HOST_STOPPED || left < 0 || left > 1e9)
		return false;
	log_clean(w->phase, '!', '-'); /* it stands in a line of the state file */
	w->said = (enum host_state)state;
	keeper.dirty =
	    keeper.dirty || w->said != before; /* the others need not wait for its beat */
	follow(w, before, left, reason);
	return true;
}

static bool on_beat(struct worker *w, struct ipc_message *m)
{
	char failing[IPC_TEXT_MAX + 1];
	double lag;

	if (!ipc_unpack(
		m, "uuufs", &w->ready, &w->sessions, &w->in_flight, &lag, failing, sizeof failing))
		return false;
	w->beat = clock_monotonic();
	if (failing[0] && keeper.upgrade.state == UPGRADE_PROBATION && !keeper.upgrade.back)
		upgrade_lost_worker(w, failing);
	worker_tell_status(w);
	notify_status();
	return true;
}

static bool on_request(struct worker *w, struct ipc_message *m)
{
	char verb[32], text[IPC_TEXT_MAX + 1];
	int number;

	if (!ipc_unpack(m, "ss", verb, sizeof verb, text, sizeof text))
		return false;
	number = host_verb_of(verb);
	if (number <= VERB_NONE)
		return false;
	signals_request(w, m->header.id, (enum host_verb)number, text);
	return true;
}

static bool on_answer(struct worker *w, struct ipc_message *m)
{
	char result[16], text[IPC_TEXT_MAX + 1];

	if (!ipc_unpack(m, "ss", result, sizeof result, text, sizeof text))
		return false;
	bundle_applied(w, m->header.id);
	if (w->generation == keeper.active)
		signals_answer(m->header.id, result, text);
	return true;
}

static bool on_leaving(struct worker *w, struct ipc_message *m)
{
	char text[IPC_TEXT_MAX + 1];
	uint32_t code;

	if (!ipc_unpack(m, "us", &code, text, sizeof text))
		return false;
	w->leaving = true;
	w->code = (int)(code & 0xff);
	snprintf(w->last_words, sizeof w->last_words, "%.255s", text);
	if (keeper.stopping && w->generation != keeper.active && text[0])
		signals_broadcast(VERB_REPORT, text, "", false); /* a stop has one report */
	return true;
}

static bool dispatch(struct worker *w, struct ipc_message *m)
{
	if (m->header.generation != w->generation || m->header.worker != w->number ||
	    m->header.version != worker_version(w))
		return false;
	upgrade_heard(w);
	switch ((enum ipc_type)m->header.type) {
	case IPC_READY: return on_ready(w);
	case IPC_KEEP:
	case IPC_HOLD: return on_hold(w, m);
	case IPC_UNHOLD: return on_unhold(w, m);
	case IPC_BIND: return on_bind(w, m);
	case IPC_WANT: return on_want(w, m);
	case IPC_STATE: return on_state(w, m);
	case IPC_BEAT: return on_beat(w, m);
	case IPC_REQUEST: return on_request(w, m);
	case IPC_ANSWER: return on_answer(w, m);
	case IPC_ACK: return commit_acked(w, m);
	case IPC_LEAVING: return on_leaving(w, m);
	case IPC_CHILD:
	case IPC_CHILD_ENDED: return children_word(w, m);
	case IPC_PROGRAM: return ipc_unpack(m, "") && attach_program(w, ipc_give_fd(m, 0));
	case IPC_PREVIOUS:
	case IPC_PREVIOUS_PROGRAM: return attach_previous(w, m);
	case IPC_ATTACHED: return attach_done(w);
	default: return false;
	}
}

/* The lowest free number is what a descriptor gets that comes. */
static bool has_no_room(int got, const struct ipc_message *m)
{
	if (got < 0)
		return errno == EMFILE;
	return got > 0 && m->nfds > 0 && m->fds[0] >= sysconf(_SC_OPEN_MAX) - SPARE_FDS &&
	       (m->header.type == IPC_HOLD || m->header.type == IPC_KEEP ||
		   m->header.type == IPC_CHILD);
}

void words_readable(struct worker *w)
{
	static struct ipc_message m;
	const char *fault = NULL;

	for (int i = 0; i < WORDS_PER_TURN && w->channel >= 0 && !fault; i++) {
		int got = ipc_recv(w->channel, &m, IPC_FROM_WORKER);

		if (got < 0 && errno == ECONNRESET)
			continue; /* it ended with words of ours unread; its own still come */
		if (got < 0 && errno == EAGAIN)
			return;
		if (has_no_room(got, &m)) {
			log_error("worker g%u.%u: %s is lost: too many open files in the keeper",
			    w->generation, w->number, ipc_type_name(m.header.type));
			ipc_close_fds(&m);
			continue;
		}
		if (got == 0) {
			/* its death follows, or is brought about: nobody could judge it now */
			fd_close(&w->channel);
			w->aborted = true;
			w->kill_due = clock_monotonic() + WORKER_ABORT_WAIT;
			return;
		}
		if (got < 0)
			fault = "not a message";
		else if (!dispatch(w, &m))
			fault = ipc_type_name(m.header.type);
		ipc_close_fds(&m);
	}
	if (!fault)
		return;
	log_error(
	    "worker g%u.%u broke the protocol (%s): SIGKILL", w->generation, w->number, fault);
	fd_close(&w->channel);
	spawn_kill(w->pidfd, SIGKILL);
}
