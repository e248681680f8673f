/* Starting a role of a binary, and signalling it by pidfd: never another process. */
#include "proc/table.h"

#include <sys/syscall.h>

int spawn_kill(int pidfd, int signo)
{
	return pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, 0);
}

int spawn_role(const struct role *role, pid_t *pid_r, int *pidfd_r, int *channel_r)
{
	int pair[2], pidfd = -1;
	pid_t pid;

	errno = FAILPOINT_ERRNO("keeper-spawn");
	if (errno > 0 || ipc_pair(pair) < 0)
		return -1;
	pid = fork();
	if (pid == 0)
		start_child(role, pair[1]);
	close(pair[1]);
	if (pid > 0) {
		(void)setpgid(pid, pid); /* both sides do it: whoever comes first */
		/* a child that we have not reaped keeps its number: this is its pidfd and no
		 * other's */
		pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	}
	if (pidfd < 0) {
		if (pid > 0)
			(void)kill(pid, SIGKILL);
		fd_close(&pair[0]);
		return -1;
	}
	*pid_r = pid;
	*pidfd_r = pidfd;
	*channel_r = pair[0];
	return 0;
}
