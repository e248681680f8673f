/* Between fork and exec, in the child: few descriptors, fewer rights, then our own binary by fd.
 * Each step is checked, and at the end proven. */
#include "proc/table.h"

#include <grp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

enum { CHILD_CHANNEL = 3, CHILD_BINARY = 4, CHILD_SCRATCH = 10 };

extern char **environ;

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

static const char *restrict_worker(const struct settings *s)
{
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

__attribute__((noreturn)) static void die(const char *step)
{
	log_error("cannot start: %s: %s", step, strerror(errno));
	_exit(KEEPER_EXIT_OS);
}

/* A path that was an upgrade's may be another by now, so it is named; a script cannot be run from a
 * descriptor that its interpreter would not have. */
__attribute__((noreturn)) static void die_of_binary(void)
{
	char name[32], path[300];
	const char *why = errno == ENOENT ? "a script, or its loader is missing" : strerror(errno);
	ssize_t n;

	snprintf(name, sizeof name, "/proc/self/fd/%d", CHILD_BINARY);
	n = readlink(name, path, sizeof path);
	log_error("cannot start: %.*s cannot be run: %s (see upgrade_binary; 'gadwall reload' "
		  "applies a new one)",
	    n > 0 ? (int)n : 1, n > 0 ? path : "?", why);
	_exit(KEEPER_EXIT_OS);
}

static int (*first_reader)(int argc, char **argv);

void start_child_reader(int (*reader)(int argc, char **argv))
{
	first_reader = reader;
}

/* Nothing of a host is in the keeper's memory yet but the command line. Later readers may be of
 * another binary, and workers meet strangers: they get an address space of their own. */
static void run_first_reader(int argc, const char **argv)
{
	close(CHILD_BINARY);
	exit(first_reader(argc, (char **)argv));
}

void start_child(const struct role *role, int channel)
{
	bool is_worker = role->is_worker;
	const char *argv[8] = {"gadwall", is_worker ? "--role=worker" : "--role=reader"}, *step;
	int n = 2;

	if (setpgid(0, 0) < 0)
		die("setpgid");
	move_fds(channel, role->binary);
	if (!is_worker && role->config_file) {
		argv[n++] = "-c";
		argv[n++] = role->config_file;
	}
	if (!is_worker && keeper.starts_passive)
		argv[n++] = "--passive";
	if (!is_worker && keeper.loaded)
		argv[n++] = "--reload";
	step = is_worker ? restrict_worker(role->settings) : NULL;
	if (step)
		die(step);
	if (!is_worker && !keeper.loaded && first_reader)
		run_first_reader(n, argv);
	syscall(SYS_execveat, CHILD_BINARY, "", argv, environ, AT_EMPTY_PATH);
	die_of_binary();
}
