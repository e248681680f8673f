/* The keeper changes itself: after a good upgrade to another binary it runs that one in its own
 * process, with its PID, descriptors and children.
 *
 *   (none) ──committed, another file──> WANTED ──nothing is under way──> TRIAL ──good──> CHANGE
 *      ^                                  │  ^                             │               │
 *      │                                  └──┘ it waits, says so once      │ bad, 2 s      │ exec
 *      └──────── stays what it is ─────────────────────────────────────────┘<──refused─────┘
 *
 *   TRIAL   a child of the new binary gets a copy of the state with all descriptors, checks each of
 *           them and writes the state back: the same bytes and exit 0, or the keeper stays
 *   CHANGE  the state of now goes to a memfd, descriptors lose FD_CLOEXEC for the time of execveat;
 *           signals stay blocked and pending, locks and children stay. The new one reads it and
 *           goes on in the loop: workers, files and READY are not touched
 *
 * Under way is what has a child or a step that only this process knows: an upgrade, a reader, a
 * start or restart of a worker, orphans that are waited for, a stop. */
#include "base/title.h"
#include "proc/table.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define TRIAL_LIMIT 2.0 /* s */

extern char **environ;

static struct reexec *const x = &keeper.reexec;

void reexec_init(void)
{
	*x = (struct reexec){.state = -1, .copy = -1, .due = KEEPER_NEVER};
}

static bool differ(int a, int b)
{
	struct stat sa, sb;

	return fstat(a, &sa) == 0 && fstat(b, &sb) == 0 &&
	       (sa.st_dev != sb.st_dev || sa.st_ino != sb.st_ino || sa.st_size != sb.st_size ||
		   sa.st_mtim.tv_sec != sb.st_mtim.tv_sec ||
		   sa.st_mtim.tv_nsec != sb.st_mtim.tv_nsec);
}

static int binary(void)
{
	return generation_of(keeper.active)->parts.binary;
}

void reexec_want(bool forced)
{
	if (!generation_of(keeper.active))
		return;
	x->wanted = forced || differ(keeper.binary, binary());
	x->tried = x->said = false;
}

/* What has to end first; NULL: nothing. */
static const char *obstacle(void)
{
	if (keeper.stopping || keeper.ended || !keeper.ready || keeper.state == HOST_FINISHING)
		return host_state_name(keeper.state);
	if (keeper.upgrade.state != UPGRADE_NONE || keeper.commit.step != COMMIT_NONE)
		return "an upgrade is under way";
	if (keeper.reader.pid || bundle_is_under_way())
		return "a config is being read or applied";
	if (keeper.attach.waiting || keeper.attach.gaps)
		return "orphans are waited for";
	FOR_WORKERS (w)
		if (w->state == WORKER_STARTING || w->state == WORKER_WAITING)
			return "a worker is being started";
	return NULL;
}

static void forget_trial(void)
{
	fd_close(&x->state);
	fd_close(&x->copy);
	x->pid = 0;
	x->due = KEEPER_NEVER;
}

static void stay(const char *why)
{
	char text[160];

	forget_trial();
	x->wanted = false;
	log_warn("the keeper stays what it is: %s", why);
	snprintf(text, sizeof text, "stays what it is: %s", why);
	upgrade_note(text);
}

/* A memfd with the state of now; -1 with errno. */
static int save(void)
{
	int fd = memfd_create("gadwall-keeper", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd >= 0 && (carry_write(fd) < 0 ||
			   fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK) < 0))
		fd_close(&fd);
	return fd;
}

/* ---- the trial, seen by the keeper ---- */

/* Returns only when the binary cannot be run; errno says why. */
static void run(int program, const char *role, int state, int copy)
{
	char first[12], second[12];
	const char *const argv[] = {"gadwall", role, first, copy >= 0 ? second : NULL, NULL};

	snprintf(first, sizeof first, "%d", state);
	snprintf(second, sizeof second, "%d", copy);
	(void)fcntl(state, F_SETFD, 0);
	if (copy >= 0)
		(void)fcntl(copy, F_SETFD, 0);
	syscall(SYS_execveat, program, "", argv, environ, AT_EMPTY_PATH);
}

__attribute__((noreturn)) static void be_trial(pid_t parent)
{
	/* It has dups of our locks and channels, and must not outlive us with them. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() == parent && setpgid(0, 0) == 0) {
		carry_inherit(true);
		run(binary(), "--role=keeper-trial", x->state, x->copy);
	}
	_exit(KEEPER_EXIT_OS);
}

static void begin_trial(double now)
{
	pid_t parent = getpid();

	x->state = save();
	x->copy = memfd_create("gadwall-trial", MFD_CLOEXEC);
	if (x->state < 0 || x->copy < 0 || (x->pid = fork()) < 0) {
		x->pid = 0;
		stay(strerror(errno));
		return;
	}
	if (x->pid == 0)
		be_trial(parent);
	x->due = now + TRIAL_LIMIT;
}

static bool same_bytes(int a, int b)
{
	static unsigned char from_a[16384], from_b[sizeof from_a];
	off_t at = 0;
	ssize_t n;

	while ((n = pread(a, from_a, sizeof from_a, at)) > 0) {
		if (pread(b, from_b, sizeof from_b, at) != n ||
		    memcmp(from_a, from_b, (size_t)n) != 0)
			return false;
		at += n;
	}
	return n == 0 && at > 0 && pread(b, from_b, 1, at) == 0;
}

void reexec_tried(int status, bool by_signal)
{
	char why[96] = "";

	if (by_signal && x->due == KEEPER_NEVER)
		snprintf(why, sizeof why, "its trial did not end in %.0f s", TRIAL_LIMIT);
	else if (by_signal)
		snprintf(why, sizeof why, "its trial was ended by signal %d", status);
	else if (status != 0)
		snprintf(why, sizeof why, "its trial ended with status %d, the log has the reason",
		    status);
	else if (!same_bytes(x->state, x->copy))
		snprintf(why, sizeof why, "its trial forgets a part of the state");
	if (why[0]) {
		stay(why);
		return;
	}
	forget_trial();
	x->tried = true;
}

void reexec_end(void)
{
	if (!x->pid)
		return;
	(void)kill(x->pid, SIGKILL); /* not reaped: the number is its own */
	(void)waitid(P_PID, (id_t)x->pid, &(siginfo_t){0}, WEXITED);
	forget_trial();
}

/* ---- the change ---- */

static void change(void)
{
	int program = binary(), state, fault;

	x->wanted = x->tried = false;
	state = save();
	fault = state < 0 ? errno : 0;
	if (fault == 0) {
		carry_inherit(true);
		fault = FAILPOINT_ERRNO("keeper-reexec");
		if (fault == 0) {
			run(program, "--role=keeper-again", state, -1);
			fault = errno;
		}
		carry_inherit(false);
	}
	fd_close(&state);
	stay(strerror(fault));
}

static void wait_for(const char *what)
{
	char text[96];

	if (x->said)
		return;
	x->said = true;
	log_info("the keeper is to run the new binary too, and waits: %s", what);
	snprintf(text, sizeof text, "waits to run it too: %s", what);
	upgrade_note(text);
}

double reexec_clock(double now)
{
	const char *what;

	if (x->pid) {
		if (now >= x->due) {
			x->due = KEEPER_NEVER;
			(void)kill(x->pid, SIGKILL); /* not reaped: the number is its own */
		}
		return x->due;
	}
	if (!x->wanted)
		return KEEPER_NEVER;
	what = obstacle();
	if (what)
		wait_for(what); /* its end is a turn of the loop, and brings us here again */
	else if (x->tried)
		change();
	else
		begin_trial(now);
	return x->due;
}

/* ---- the new binary ---- */

static int number(int argc, char **argv, int i)
{
	char *end;
	long n = i < argc ? strtol(argv[i], &end, 10) : -1;

	return n > STDERR_FILENO && *end == '\0' && n < INT32_MAX ? (int)n : -1;
}

int keeper_trial(int argc, char **argv)
{
	int state = number(argc, argv, 2), copy = number(argc, argv, 3), fault;
	const char *why;

	log_source("keeper-trial");
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); /* an exec that gains rights forgets it */
	fault = FAILPOINT_ERRNO("keeper-trial");
	why = fault ? strerror(fault) : carry_read(state);
	if (!why) {
		carry_inherit(false);
		if (carry_write(copy) < 0 || start_again() < 0)
			why = strerror(errno);
	}
	if (why)
		log_error("the state of the keeper cannot be taken over: %s", why);
	return why ? KEEPER_EXIT_SOFTWARE : 0;
}

static const char *own_path(void)
{
	static char path[SETTINGS_PATH];
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);

	path[n > 0 ? n : 0] = '\0';
	return path;
}

int keeper_again(int argc, char **argv)
{
	int state = number(argc, argv, 2);
	const char *why;

	log_source("keeper");
	why = carry_read(state);
	if (!why) {
		carry_inherit(false);
		if (start_again() < 0)
			why = strerror(errno);
	}
	if (why) { /* the workers are orphans, and serve on until a keeper comes */
		log_error("the state of the keeper cannot be taken over: %s", why);
		return KEEPER_EXIT_SOFTWARE;
	}
	carry_settle();
	fd_close(&state);
	title_set("gadwall: keeper");
	log_info("the keeper runs %s now, same pid %d", own_path(), (int)getpid());
	upgrade_note("runs it too");
	keeper_reap();
	return keeper_run();
}
