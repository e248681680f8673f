#include "net/signals.h"

#include "base/fd.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

struct note {
	int signo;
	pid_t sender;
};

static struct {
	struct loop *loop;
	signals_fn *fn;
	void *data;
	ev_io io;
	int pipe[2];
	bool watched[NSIG];
} sig = {.pipe = {-1, -1}};

/* Signal context: write(2) only. A full pipe already holds more than anyone will act on. */
static void on_signal(int signo, siginfo_t *info, void *context)
{
	struct note note = {signo, info->si_code <= 0 ? info->si_pid : 0};
	int error = errno;
	ssize_t ignored = write(sig.pipe[1], &note, sizeof note);

	(void)ignored;
	(void)context;
	errno = error;
}

static void on_pipe(struct ev_loop *ev, ev_io *w, int revents)
{
	struct note note;
	struct loop *loop = sig.loop;

	(void)ev;
	(void)w;
	(void)revents;
	loop_enter(loop);
	while (sig.pipe[0] >= 0 && read(sig.pipe[0], &note, sizeof note) == sizeof note)
		if (sig.watched[note.signo])
			sig.fn(sig.data, note.signo, note.sender);
	loop_leave(loop);
}

int signals_open(struct loop *loop, signals_fn *fn, void *data)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	if (sig.loop)
		return 0;
	if (pipe2(sig.pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		return -1;
	sigaction(SIGPIPE, &ignore, NULL);
	sig.loop = loop;
	sig.fn = fn;
	sig.data = data;
	ev_io_init(&sig.io, on_pipe, sig.pipe[0], EV_READ);
	ev_set_priority(&sig.io, EV_MAXPRI);
	ev_io_start(loop->ev, &sig.io);
	return 0;
}

int signals_watch(int signo, bool on)
{
	struct sigaction sa;
	sigset_t set;

	if (signo <= 0 || signo >= NSIG) {
		errno = EINVAL;
		return -1;
	}
	memset(&sa, 0, sizeof sa);
	if (on) {
		sa.sa_sigaction = on_signal;
		sa.sa_flags = SA_SIGINFO | SA_RESTART;
		sigfillset(&sa.sa_mask);
	} else {
		sa.sa_handler = signo == SIGPIPE ? SIG_IGN : SIG_DFL;
	}
	if (sigaction(signo, &sa, NULL) < 0)
		return -1;
	sig.watched[signo] = on;
	if (on) {
		sigemptyset(&set);
		sigaddset(&set, signo);
		sigprocmask(SIG_UNBLOCK, &set, NULL);
	}
	return 0;
}

void signals_close(void)
{
	if (!sig.loop)
		return;
	for (int i = 1; i < NSIG; i++)
		if (sig.watched[i])
			signals_watch(i, false);
	ev_io_stop(sig.loop->ev, &sig.io);
	fd_close(&sig.pipe[0]);
	fd_close(&sig.pipe[1]);
	sig.loop = NULL;
}
