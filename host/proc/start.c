/* The start of the keeper, before and after the config is known; nothing here runs later. */
#include "base/background.h"
#include "proc/table.h"

#include <linux/capability.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>

enum { LISTEN_FDS_START = 3 };

static int listen_fds(void)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");

	return count && pid && atoi(pid) == getpid() && atoi(count) > 0 ? atoi(count) : 0;
}

void start_close_inherited(void)
{
	(void)syscall(SYS_close_range, LISTEN_FDS_START + (unsigned)listen_fds(), ~0U, 0);
}

static bool is_held(const char *name)
{
	for (const struct held *h = keeper.held; h < keeper.held + KEEPER_HELD; h++)
		if (h->fd >= 0 && strcmp(h->name, name) == 0)
			return true;
	return false;
}

/* systemd gives one name to all sockets of a unit: the second is NAME/2, and so on. */
static void make_unique(char name[KEEPER_NAME])
{
	size_t length = strlen(name);

	for (int i = 2; is_held(name) && i <= KEEPER_HELD; i++) {
		if (length > KEEPER_NAME - 8)
			length = KEEPER_NAME - 8;
		snprintf(name + length, KEEPER_NAME - length, "/%d", i);
	}
}

static void adopt_listen_fds(void)
{
	const char *names = getenv("LISTEN_FDNAMES"), *why;
	int n = listen_fds();

	for (int i = 0; i < n && i < KEEPER_HELD; i++) {
		size_t length = names ? strcspn(names, ":") : 0;
		char name[KEEPER_NAME] = "unknown";
		int fd = fcntl(LISTEN_FDS_START + i, F_DUPFD_CLOEXEC, LISTEN_FDS_START + n);

		if (length > 0 && length < sizeof name)
			snprintf(name, sizeof name, "%.*s", (int)length, names);
		if (names)
			names += length + (names[length] == ':');
		make_unique(name);
		(void)close(LISTEN_FDS_START + i);
		why = "not a bound socket";
		if (held_is_kept(name) || ipc_fd_is(fd, IPC_FD_LISTENER))
			why = held_take(name, fd, 0);
		else
			fd_close(&fd);
		if (why)
			log_warn("passed descriptor %d (%s) refused: %s", i, name, why);
	}
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
}

static int open_signals(bool first)
{
	static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
	sigset_t all;

	sigfillset(&all);
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
		sigdelset(&all, faults[i]); /* a blocked one of these is a death without a word */
	if (sigprocmask(SIG_SETMASK, &all, NULL) < 0)
		return -1;
	/* An inherited SIG_IGN (nohup, a careless parent) would eat signals and children. Not
	 * again later: it forgets a SIGCHLD that is pending. */
	for (int i = 1; i < SETTINGS_SIGNALS && first; i++)
		(void)signal(i, SIG_DFL);
	keeper.signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	return keeper.signals < 0 ? -1 : 0;
}

/* By which name we were started, for `upgrade`: absolute, and not resolved, because a link may lead
 * elsewhere by then. */
static void note_path(void)
{
	const char *name = (const char *)getauxval(AT_EXECFN);
	char folder[SETTINGS_PATH] = "";

	if (!name || (name[0] != '/' && !getcwd(folder, sizeof folder)))
		return;
	if ((size_t)snprintf(keeper.path, sizeof keeper.path, "%s%s%s", folder,
		folder[0] ? "/" : "", name) >= sizeof keeper.path)
		keeper.path[0] = '\0';
}

/* All that the keeper will ever use is there before it needs it, and in one fault instead of one
 * for each page. Kernels before 5.14 do not know how: then it comes when it is touched. */
static void reserve_memory(void)
{
#ifdef MADV_POPULATE_WRITE
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)&keeper & ~(page - 1);

	(void)madvise((void *)begin, (uintptr_t)(&keeper + 1) - begin, MADV_POPULATE_WRITE);
#endif
}

void start_memory(const struct keeper_opts *opts)
{
	struct reader *r = &keeper.reader;

	reserve_memory();
	keeper.passive = keeper.starts_passive = opts->passive;
	keeper.signals = keeper.dir = keeper.lock = keeper.sock = keeper.pidfile = -1;
	keeper.tickets = keeper.binary = keeper.notify.fd = -1;
	keeper.hammer_at = KEEPER_NEVER;
	for (int i = 0; i < KEEPER_HELD; i++)
		keeper.held[i].fd = -1;
	for (int i = 0; i < KEEPER_CHILDREN; i++)
		keeper.children[i].pidfd = -1;
	reexec_init();
	r->pidfd = r->channel = r->settings = r->bundle = r->faults = -1;
	keeper.commit.blob = -1;
	keeper.upgrade.due = KEEPER_NEVER;
	parts_init(&keeper.upgrade.parts);
	parts_init(&keeper.previous);
	for (int i = 0; i < KEEPER_GENERATIONS; i++)
		parts_init(&keeper.generations[i].parts);
	keeper.attach.settings = keeper.attach.bundle = -1;
	for (int i = 0; i < KEEPER_KNOCKS; i++)
		keeper.attach.knocks[i].fd = -1;
	FOR_WORKERS (w)
		w->pidfd = w->channel = -1;
}

int start_open(const struct keeper_opts *opts)
{
	enum { FILES_MIN = 128 };
	unsigned char nonce[16];
	size_t files = fd_raise_limit();

	background_allow();
	start_memory(opts);
	log_files_open();
	note_path();
	for (int fd = 0; fd < 3; fd++)
		keeper.terminals |= isatty(fd) ? 1 << fd : 0;
	fd_never_wait(STDOUT_FILENO);
	fd_never_wait(STDERR_FILENO);
	adopt_listen_fds();
	notify_init();
	if (files < FILES_MIN) { /* poll(2) refuses more entries than the limit, for one */
		log_error("the file limit is %zu, at least %d is needed (ulimit -n, LimitNOFILE)",
		    files, FILES_MIN);
		errno = EMFILE;
		return -1;
	}
	keeper.binary = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	if (keeper.binary < 0 || open_signals(true) < 0 ||
	    getrandom(nonce, sizeof nonce, 0) != (ssize_t)sizeof nonce || tickets_open() < 0)
		return -1;
	for (size_t i = 0; i < sizeof nonce; i++)
		snprintf(keeper.nonce + 2 * i, 3, "%02x", nonce[i]);
	/* orphans of ended workers come to us, not to a PID 1 that may not reap */
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	return 0;
}

static int drop_capabilities(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};

	/* all four are among the first 32 */
	data[0].permitted =
	    1U << CAP_NET_BIND_SERVICE | 1U << CAP_SETUID | 1U << CAP_SETGID | 1U << CAP_KILL;
	data[0].effective = data[0].permitted;
	return (int)syscall(SYS_capset, &head, data);
}

/* A keeper with fewer rights than its workers guards nothing; with a user, it keeps four. */
static int limit_rights(void)
{
	const struct settings *s = &keeper.settings;

	if (geteuid() != 0 || s->uid == SETTINGS_NO_ID || s->uid == 0)
		return 0;
	return drop_capabilities();
}

int start_again(void)
{
	if (limit_rights() < 0 || open_signals(false) < 0)
		return -1;
	log_files_open();
	fd_close(&keeper.binary);
	keeper.binary = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	return keeper.binary < 0 ? -1 : 0;
}

static int refuse_root(void)
{
	const struct settings *s = &keeper.settings;
	bool stays_root = s->uid == SETTINGS_NO_ID || s->uid == 0;

	if (geteuid() != 0)
		return 0;
	if (stays_root && !s->run_as_root) {
		log_error("refusing to run as root: set user (and group), or run_as_root = true");
		return KEEPER_EXIT_PERMISSION;
	}
	if (stays_root)
		log_warn("the workers run as root (run_as_root)");
	return 0;
}

void start_loaded(void)
{
	int code = refuse_root();

	if (code == 0)
		code = start_rundir();
	if (code == 0 && limit_rights() < 0) {
		log_error("cannot give up capabilities: %s", strerror(errno));
		code = KEEPER_EXIT_PERMISSION;
	}
	if (code != 0) {
		keeper_end(code);
		return;
	}
	keeper.loaded = true;
	notify_status();
	attach_begin(keeper.reader.settings, keeper.reader.bundle);
}
