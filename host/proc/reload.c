/* The reader: at the start and for each reload it runs the config and hands over what it found. */
#include "proc/table.h"

/* The reader ends itself after 10 s; this is for one that cannot (s). */
#define READER_LIMIT 12.0

static struct reader *const r = &keeper.reader;
static struct ipc_message message;

static int start(int binary, const char *config_file)
{
	struct role role = {.binary = binary, .config_file = config_file};

	if (!config_file && keeper.config_file[0])
		role.config_file = keeper.config_file;
	r->due = clock_monotonic() + READER_LIMIT;
	return spawn_role(&role, &r->pid, &r->pidfd, &r->channel);
}

int reload_read_for_upgrade(int binary, const char *config_file)
{
	if (r->pid) {
		errno = EBUSY;
		return -1;
	}
	r->for_upgrade = true;
	return start(binary, config_file);
}

int reload_start(void)
{
	const struct generation *g = generation_of(keeper.active);

	if (r->pid) {
		r->again = true; /* the file may have changed since this one read it */
		return 0;
	}
	r->for_upgrade = false;
	if (start(g ? g->parts.binary : keeper.binary, NULL) < 0)
		return -1;
	if (keeper.loaded) {
		FAILPOINT("keeper-reload");
		notify_reloading();
	} else {
		FAILPOINT("keeper-reader");
	}
	return 0;
}

void reload_readable(void)
{
	int got = -1;

	errno = EAGAIN;
	while (r->channel >= 0 && (got = ipc_recv(r->channel, &message, IPC_FROM_READER)) > 0) {
		bool faults = message.header.type == IPC_FAULTS;
		int *first = faults ? &r->faults : &r->settings;

		fd_close(first);
		*first = ipc_give_fd(&message, 0);
		if (!faults) {
			fd_close(&r->bundle);
			r->bundle = ipc_give_fd(&message, 1);
		}
	}
	if (got < 0 && errno == EAGAIN)
		return;
	if (got < 0) {
		log_error("the reader broke the protocol: SIGKILL");
		spawn_kill(r->pidfd, SIGKILL);
	}
	fd_close(&r->channel);
}

/* What the reader handed over, checked; NULL, or what is wrong. */
static const char *check(struct settings *to)
{
	return r->bundle < 0 ? "the reader handed nothing over" : settings_read(r->settings, to);
}

/* Whoever asked hears the outcome; after a signal the speaker does, when there are faults to log.
 */
static void answer(const char *why)
{
	bool theirs = r->request && !r->later;
	struct worker *w = theirs ? worker_of(r->generation, r->worker) : worker_speaker();

	if (w && (theirs || why))
		worker_tell(w, IPC_RESULT, theirs ? r->request : 0, r->faults >= 0 ? "usd" : "us",
		    !why, why ? why : "", r->faults);
	if (theirs)
		r->request = 0;
}

static void end_reload(const char *why)
{
	static struct settings settings;

	if (!why && (keeper.state == HOST_FINISHING || keeper.state == HOST_STOPPING))
		why = "the host is stopping";
	if (!why)
		why = check(&settings);
	if (!why)
		bundle_take(&settings);
	if (why)
		log_error("reload refused: %s; the last good config stays", why);
	else
		log_info("reload: the new config goes to the workers");
	answer(why);
	bundle_look();
}

void reload_run_kept(void)
{
	if (!keeper.reload_kept)
		return;
	keeper.reload_kept = false;
	if (reload_start() < 0)
		answer(strerror(errno));
}

/* Before there is a good config its outcome is the host's; the reader has printed every fault. */
static void end_start(const char *why, int code)
{
	if (!why)
		why = check(&keeper.settings);
	if (keeper.stopping)
		keeper_end(0);
	else if (!why)
		start_loaded();
	else
		keeper_end(code ? code : KEEPER_EXIT_SOFTWARE);
	if (why && !keeper.stopping)
		log_error("cannot start: %s", why);
}

static const char *how_it_ended(int status, bool by_signal)
{
	if (by_signal)
		return r->due == KEEPER_NEVER || status == SIGALRM ? "the config took too long"
								   : "the reader has died";
	if (status == KEEPER_EXIT_OS)
		return "the program cannot be run, the log has the reason";
	if (status == KEEPER_EXIT_SOFTWARE)
		return "the reader has failed, the log has the reason";
	return "the config has faults";
}

void reload_died(int status, bool by_signal)
{
	char text[80];

	reload_readable();
	fd_close(&r->channel);
	fd_close(&r->pidfd);
	r->pid = 0;
	snprintf(text, sizeof text, "%s (%s %d)", how_it_ended(status, by_signal),
	    by_signal ? "signal" : "status", status);
	if (r->for_upgrade)
		upgrade_read(status ? text : NULL);
	else if (keeper.loaded)
		end_reload(status ? text : NULL);
	else
		end_start(status ? text : NULL, by_signal ? KEEPER_EXIT_CONFIG : status);
	fd_close(&r->settings);
	fd_close(&r->bundle);
	fd_close(&r->faults);
	if (r->again) { /* asked for behind a reload's reader, or an aborted upgrade's */
		r->again = r->later = false;
		if (reload_start() < 0)
			answer(strerror(errno));
	}
}

double reload_clock(double now)
{
	if (!r->pid)
		return KEEPER_NEVER;
	if (now >= r->due) {
		log_error("the reader does not end: SIGKILL");
		spawn_kill(r->pidfd, SIGKILL);
		r->due = KEEPER_NEVER;
	}
	return r->due;
}
