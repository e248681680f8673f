#include "bindings/worker_signals.h"

#include "base/fd.h"
#include "base/log.h"
#include "bindings/lua_keeper.h"
#include "bindings/worker_channel.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What the handler writes: smaller than PIPE_BUF, so always whole. */
struct caught {
	int signo;
	pid_t sender;
};

static int pipe_fds[2] = {-1, -1};
static ev_io watcher;

static void handler(int signo, siginfo_t *si, void *context)
{
	struct caught caught = {signo, si->si_pid};
	int e = errno;
	ssize_t n = write(pipe_fds[1], &caught, sizeof caught);

	(void)n; /* a full pipe: a storm, and what is in it says enough */
	(void)context;
	errno = e;
}

static void pass_to_keeper(int signo)
{
	char number[12];

	snprintf(number, sizeof number, "%d", signo);
	if (channel_tell(
		IPC_REQUEST, channel_next_id(), "ss", host_verb_name(VERB_SIGNAL), number) < 0)
		log_error("cannot pass signal %d to the keeper: %s", signo, strerror(errno));
}

static void act(const struct caught *caught)
{
	const struct worker_channel *c = &worker_channel;
	const char *word = sigabbrev_np(caught->signo);
	char name[24];

	snprintf(name, sizeof name, "SIG%s", word ? word : "RT");
	if (c->lost)
		lua_keeper_local_verb(
		    host_verb_name(
			(enum host_verb)c->settings.signals[caught->signo][HOST_SERVING]),
		    name);
	else if (caught->sender == getpid())
		pass_to_keeper(caught->signo);
	else
		log_warn("%s (%d) from pid %d does nothing in a worker: signals go to the keeper, "
			 "pid %u",
		    name, caught->signo, (int)caught->sender, c->keeper_pid);
}

static void on_readable(struct ev_loop *loop, ev_io *w, int events)
{
	struct caught caught;

	(void)loop;
	(void)events;
	for (int i = 0; i < 16 && read(w->fd, &caught, sizeof caught) == sizeof caught; i++)
		act(&caught);
}

/* ---- what never returned ---- */

static struct {
	volatile sig_atomic_t armed;
	char line[512], report[8192], path[512], temporary[520];
} blamed;

void worker_signals_blame(const char *line, const char *report, const char *path)
{
	blamed.armed = 0;
	if (!line)
		return;
	snprintf(blamed.line, sizeof blamed.line, "lifecycle           error\t%.480s\n", line);
	blamed.path[0] = '\0';
	if (report && path && strlen(report) < sizeof blamed.report &&
	    strlen(path) < sizeof blamed.path) {
		memcpy(blamed.report, report, strlen(report) + 1);
		memcpy(blamed.path, path, strlen(path) + 1);
		snprintf(blamed.temporary, sizeof blamed.temporary, "%s.tmp", path);
	}
	blamed.armed = 1;
}

static void put(int fd, const char *text)
{
	ssize_t n = write(fd, text, strlen(text));

	(void)n; /* the last thing that this process does: nobody is left to tell */
}

/* Only calls that are safe in a handler: the worker stands somewhere in C. */
static void on_abort(int signo)
{
	int fd;

	if (blamed.armed) {
		put(STDERR_FILENO, blamed.line);
		fd = blamed.path[0]
			 ? open(blamed.temporary,
			       O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640)
			 : -1;
		if (fd >= 0) {
			put(fd, blamed.report);
			close(fd);
			(void)rename(blamed.temporary, blamed.path);
		}
	}
	raise(signo); /* SA_RESETHAND: the default action, after this handler */
}

/* Those that a write sends when it fails: its error tells enough. A handler, not SIG_IGN: that one
 * would be inherited by what a module starts. */
static bool is_error(int signo)
{
	return signo == SIGPIPE || signo == SIGXFSZ;
}

static int is_mapped(int signo)
{
	for (int state = 0; state < HOST_STATES; state++)
		if (worker_channel.settings.signals[signo][state] != VERB_NONE)
			return 1;
	switch (signo) {
	case SIGHUP:
	case SIGINT:
	case SIGQUIT:
	case SIGTERM:
	case SIGUSR1:
	case SIGUSR2: return 1;
	default: return is_error(signo);
	}
}

static void ignore(int signo)
{
	(void)signo;
}

int worker_signals_start(struct ev_loop *loop)
{
	struct sigaction sa = {.sa_flags = SA_SIGINFO | SA_RESTART},
			 quiet = {.sa_flags = SA_RESTART}, last = {.sa_flags = (int)SA_RESETHAND};
	sigset_t none;

	if (pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return -1;
	sa.sa_sigaction = handler;
	quiet.sa_handler = ignore;
	for (int signo = 1; signo < SETTINGS_SIGNALS; signo++)
		if (signo != SIGKILL && signo != SIGSTOP && is_mapped(signo))
			(void)sigaction(signo, is_error(signo) ? &quiet : &sa, NULL);
	last.sa_handler = on_abort;
	(void)sigaction(SIGABRT, &last, NULL);
	ev_io_init(&watcher, on_readable, pipe_fds[0], EV_READ);
	ev_set_priority(&watcher, EV_MAXPRI);
	ev_io_start(loop, &watcher);
	ev_unref(loop);
	sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL);
}

void worker_signals_stop(struct ev_loop *loop)
{
	if (!ev_is_active(&watcher))
		return;
	ev_ref(loop);
	ev_io_stop(loop, &watcher);
}
