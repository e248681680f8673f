#include "proc/child.h"

#include "base/background.h"
#include "base/failpoint.h"
#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXEC_FAILED = 127, SCRATCH = 10 };

/* What parent and child share while the child runs in the parent's memory. */
struct start {
	const struct child_opts *opts;
	volatile int error;
	const char *volatile step;
};

/* ---- in the child, in borrowed memory: system calls and the stack, nothing else ---- */

/* The system call: glibc keeps 32 and 33 to itself, and a careless parent may have had them
 * ignored. */
static void reset_signals(void)
{
	const struct {
		void (*handler)(int);
		unsigned long flags;
		void (*restorer)(void);
		uint64_t mask;
	} as_it_was = {.handler = SIG_DFL};

	for (int signo = 1; signo < _NSIG; signo++)
		(void)syscall(SYS_rt_sigaction, signo, &as_it_was, NULL, sizeof as_it_was.mask);
}

static bool place_fds(const int fds[3])
{
	int copies[3];

	for (int i = 0; i < 3; i++) {
		copies[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, SCRATCH);
		if (copies[i] < 0)
			return false;
	}
	for (int i = 0; i < 3; i++)
		if (dup2(copies[i], i) < 0)
			return false;
	return syscall(SYS_close_range, 3, ~0U, 0) == 0;
}

/* The system calls themselves: glibc's functions would change the parent's threads too. */
static const char *change_user(const struct child_opts *o)
{
	if (syscall(SYS_setgroups, o->ngroups, o->groups) < 0)
		return "setgroups";
	if (syscall(SYS_setresgid, o->gid, o->gid, o->gid) < 0)
		return "setgid";
	if (syscall(SYS_setresuid, o->uid, o->uid, o->uid) < 0)
		return "setuid";
	return NULL;
}

static void try_exec(const char *file, const struct child_opts *o)
{
	(void)execve(file, (char *const *)o->argv, (char *const *)o->env);
}

/* As execvp: the first folder that has it; one that may not be run is remembered. */
static void exec_by_path(const struct child_opts *o)
{
	const char *name = o->argv[0];
	size_t length = strlen(name);
	char file[PATH_MAX];
	int error = ENOENT;

	for (const char *p = o->path; p; p = strchr(p, ':') ? strchr(p, ':') + 1 : NULL) {
		size_t n = strcspn(p, ":");

		if (n == 0 || n + length + 2 > sizeof file)
			continue;
		memcpy(file, p, n);
		file[n] = '/';
		memcpy(file + n + 1, name, length + 1);
		try_exec(file, o);
		if (errno == EACCES)
			error = EACCES;
		else if (errno != ENOENT && errno != ENOTDIR)
			return;
	}
	errno = error;
}

static const char *become(const struct child_opts *o)
{
	sigset_t none;
	const char *step;

	reset_signals();
	background_end_child();
	if (setpgid(0, 0) < 0)
		return "setpgid";
	if (!place_fds(o->fds))
		return "descriptors";
	step = o->other_user ? change_user(o) : NULL;
	if (step)
		return step;
	if (o->cwd && chdir(o->cwd) < 0)
		return "chdir";
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (strchr(o->argv[0], '/'))
		try_exec(o->argv[0], o);
	else
		exec_by_path(o);
	return "exec";
}

/* ---- in the parent ---- */

/* The parent stands still until the child has its own memory, so that a failed exec is told by
 * errno and a large parent is not copied. */
static pid_t begin(struct start *s)
{
	pid_t pid = vfork(); /* NOLINT(clang-analyzer-security.insecureAPI.vfork) */

	if (pid == 0) {
		s->step = become(s->opts); /* NOLINT(clang-analyzer-unix.Vfork): the point of it */
		s->error = errno;
		_exit(EXEC_FAILED);
	}
	return pid;
}

static int fail(pid_t pid, const struct start *s, const char **step_r)
{
	if (pid > 0)
		(void)waitid(P_PID, (id_t)pid, &(siginfo_t){0}, WEXITED);
	*step_r = s->step ? s->step : "fork";
	errno = s->error;
	return -1;
}

int child_spawn(const struct child_opts *opts, pid_t *pid_r, int *pidfd_r, const char **step_r)
{
	struct start s = {.opts = opts, .error = FAILPOINT_ERRNO("worker-spawn")};
	sigset_t all, before;
	int pidfd;
	pid_t pid;

	if (s.error > 0)
		return fail(-1, &s, step_r);
	/* no handler of ours may run in the child: it would write into our memory */
	sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &before);
	pid = begin(&s);
	if (pid < 0)
		s.error = errno;
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	if (pid < 0 || s.step)
		return fail(pid, &s, step_r);
	/* not reaped yet: the number is the child's, whether it lives or not */
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0) {
		s.error = errno;
		s.step = "pidfd_open";
		(void)kill(pid, SIGKILL);
		return fail(pid, &s, step_r);
	}
	*pid_r = pid;
	*pidfd_r = pidfd;
	return 0;
}

int child_ended(int pidfd, bool reap, int *status_r, bool *signalled_r)
{
	siginfo_t si = {0};

	if (waitid(P_PIDFD, (id_t)pidfd, &si, WEXITED | WNOHANG | (reap ? 0 : WNOWAIT)) < 0)
		return -1;
	if (si.si_pid == 0)
		return 0;
	*status_r = si.si_status;
	*signalled_r = si.si_code != CLD_EXITED;
	return 1;
}

int child_kill(int pidfd, pid_t pid, int signo)
{
	if (pid > 0 && kill(-pid, signo) == 0)
		return 0;
	return (int)syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, 0);
}

/* The group of the process with this folder of /proc; 0 if it has ended. */
static pid_t group_of(int proc, const char *pid)
{
	char text[512], path[32], *p, state;
	int fd, group;
	ssize_t n;

	snprintf(path, sizeof path, "%.16s/stat", pid);
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
	fd_close(&fd);
	text[n > 0 ? n : 0] = '\0';
	p = strrchr(text, ')'); /* the name before it may hold anything */
	if (!p || sscanf(p + 1, " %c %*d %d", &state, &group) != 2)
		return 0;
	return state == 'Z' || state == 'X' ? 0 : group;
}

void child_groups(void (*fn)(void *data, pid_t group), void *data)
{
	DIR *dir = opendir("/proc");

	if (!dir)
		return;
	for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
		pid_t group =
		    e->d_name[0] > '0' && e->d_name[0] <= '9' ? group_of(dirfd(dir), e->d_name) : 0;

		if (group > 0)
			fn(data, group);
	}
	closedir(dir);
}
