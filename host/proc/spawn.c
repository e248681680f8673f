/* Starting a role: fork, a process group, few descriptors, fewer rights, then our own binary by fd.
 */
#include "proc/table.h"

#include "base/failpoint.h"
#include "base/fd.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CHILD_CHANNEL = 3, CHILD_BINARY = 4, CHILD_SCRATCH = 10 };

extern char **environ;

static int set_capabilities(uint64_t mask)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};

	for (int i = 0; i < 2; i++) {
		data[i].effective = (uint32_t)(mask >> (32 * i));
		data[i].permitted = data[i].effective;
	}
	return (int)syscall(SYS_capset, &head, data);
}

int spawn_drop_capabilities(void)
{
	const uint64_t keep = (1ULL << CAP_NET_BIND_SERVICE) | (1ULL << CAP_SETUID) |
			      (1ULL << CAP_SETGID) | (1ULL << CAP_KILL);

	return set_capabilities(keep);
}

/* In the child only. Each step is checked, and at the end proven: regaining must fail. */
static const char *drop_privileges(const struct settings *s)
{
	uid_t uid = s->uid;
	gid_t gid = s->gid, groups[SETTINGS_GROUPS];
	uid_t r, e, sv;

	for (uint32_t i = 0; i < s->ngroups; i++)
		groups[i] = s->groups[i];
	if (setgroups(s->ngroups, groups) < 0)
		return "setgroups";
	if (setresgid(gid, gid, gid) < 0)
		return "setresgid";
	if (setresuid(uid, uid, uid) < 0)
		return "setresuid";
	if (getresuid(&r, &e, &sv) < 0 || r != uid || e != uid || sv != uid)
		return "proving the user";
	if (uid != 0 && (setuid(0) == 0 || setreuid((uid_t)-1, 0) == 0)) {
		errno = EPERM;
		return "proving that root is gone";
	}
	return NULL;
}

static const char *restrict_worker(void)
{
	const struct settings *s = &keeper.settings;
	const struct rlimit none = {0, 0};
	const char *step;

	if (setrlimit(RLIMIT_CORE, &none) < 0)
		return "setrlimit";
	if (s->uid != SETTINGS_NO_ID && geteuid() == 0) {
		step = drop_privileges(s);
		if (step)
			return step;
	}
	if (s->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return "no_new_privs";
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return "dumpable";
	return NULL;
}

static void move_fds(int channel, int binary)
{
	/* first out of the way of 3 and 4, whatever numbers they have */
	channel = fcntl(channel, F_DUPFD_CLOEXEC, CHILD_SCRATCH);
	binary = fcntl(binary, F_DUPFD_CLOEXEC, CHILD_SCRATCH);
	if (channel < 0 || binary < 0 || dup2(channel, CHILD_CHANNEL) < 0 ||
	    dup3(binary, CHILD_BINARY, O_CLOEXEC) < 0 ||
	    syscall(SYS_close_range, CHILD_BINARY + 1, ~0U, 0) < 0)
		_exit(KEEPER_EXIT_OS);
}

static void die(const char *step)
{
	log_error("cannot start: %s: %s", step, strerror(errno));
	_exit(KEEPER_EXIT_OS);
}

static void child(enum spawn_role role, int binary, bool reload, int channel)
{
	const struct keeper_opts *o = keeper.opts;
	char *argv[8];
	int n = 0;
	const char *step;

	if (setpgid(0, 0) < 0)
		die("setpgid");
	move_fds(channel, binary);
	argv[n++] = (char *)"gadwall";
	argv[n++] = (char *)(role == SPAWN_WORKER ? "--role=worker" : "--role=reader");
	if (role == SPAWN_READER && o->config_file) {
		argv[n++] = (char *)"-c";
		argv[n++] = (char *)o->config_file;
	}
	if (role == SPAWN_READER && o->passive)
		argv[n++] = (char *)"--passive";
	if (role == SPAWN_READER && reload)
		argv[n++] = (char *)"--reload";
	argv[n] = NULL;
	if (role == SPAWN_WORKER) {
		step = restrict_worker();
		if (step)
			die(step);
	}
	syscall(SYS_execveat, CHILD_BINARY, "", argv, environ, AT_EMPTY_PATH);
	die("execveat");
}

int spawn_role(enum spawn_role role, int binary, bool reload, struct spawned *s_r)
{
	int pair[2], e = FAILPOINT_ERRNO("keeper-spawn");
	pid_t pid = -1;

	if (e > 0) {
		errno = e;
		return -1;
	}
	if (ipc_pair(pair) < 0)
		return -1;
	pid = fork();
	if (pid == 0)
		child(role, binary, reload, pair[1]);
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return -1;
	}
	(void)setpgid(pid, pid); /* both sides do it: whoever comes first */
	s_r->pid = pid;
	s_r->channel = pair[0];
	/* a child that we have not reaped keeps its number, so this is its pidfd and no other's */
	s_r->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (s_r->pidfd < 0) {
		int error = errno;

		kill(pid, SIGKILL);
		close(pair[0]);
		errno = error;
		return -1;
	}
	return 0;
}
