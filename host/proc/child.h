/* Child processes of a worker: each sees the descriptors 0, 1, 2 and the variables that were named,
 * and nothing else of ours: no descriptor, handler, mask, group or privilege that it was not meant
 * to have.
 *
 * They are watched by pidfd and reaped one by one (the loop never reaps what it does not know). The
 * parent keeps an ended child unreaped as long as it likes: until then its number, and that of its
 * group, belong to nobody else. */
#ifndef PROC_CHILD_H
#define PROC_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct child_opts {
	const char *const *argv; /* NULL-terminated, at least one word */
	const char *const *env;  /* NAME=value, NULL-terminated */
	const char *path;        /* folders in which argv[0] without a slash is looked for */
	const char *cwd;         /* NULL: ours */
	int fds[3];              /* borrowed; what the child has as 0, 1, 2 */
	bool other_user;         /* the next four count */
	uid_t uid;
	gid_t gid;
	const gid_t *groups;
	size_t ngroups;
};

/* Starts a process in a group of its own. 0; or -1 with errno and *step_r what failed ("exec",
 * "chdir", "setgroups", …): no process is left then. */
int child_spawn(const struct child_opts *opts, pid_t *pid_r, int *pidfd_r, const char **step_r);

/* How a child ended. 1: *status_r is its exit status, or the signal if *signalled_r; 0: it lives;
 * -1 with errno (ECHILD: not ours, or reaped). `reap` false leaves it for a later call. */
int child_ended(int pidfd, bool reap, int *status_r, bool *signalled_r);

/* Signals the child through its pidfd, and with `pid` > 0 its whole group: only for a child of ours
 * that was not reaped. 0, or -1 with errno. */
int child_kill(int pidfd, pid_t pid, int signo);

/* Calls fn for the group of each process of this machine that has not ended. */
void child_groups(void (*fn)(void *data, pid_t group), void *data);

#endif
