/* The runtime folder at the start: made, judged, locked; PID file and keeper.sock. */
#include "proc/table.h"

#include <stdarg.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static int dir = -1;

static bool drops(void)
{
	return geteuid() == 0 && keeper.settings.uid != SETTINGS_NO_ID && keeper.settings.uid != 0;
}

static int fault(int code, const char *what)
{
	log_error("%s: %s: %s", keeper.settings.runtime_path, what, strerror(errno));
	return errno == EACCES || errno == EPERM || errno == EROFS ? KEEPER_EXIT_PERMISSION : code;
}

static void make_parents(const char *path)
{
	char part[SETTINGS_PATH];

	for (const char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		snprintf(part, sizeof part, "%.*s", (int)(p - path), path);
		(void)mkdir(part, 0755); /* the last mkdir says what is wrong */
	}
}

static int judge(const struct stat *st)
{
	const char *path = keeper.settings.runtime_path;

	if (geteuid() == 0 && st->st_uid != 0 && drops()) {
		log_error("%s belongs to uid %u, not to root: remove it or choose another "
			  "runtime_path",
		    path, (unsigned)st->st_uid);
		return KEEPER_EXIT_PERMISSION;
	}
	if ((st->st_mode & 0002) && geteuid() == 0) {
		log_error("%s can be written by everyone: not as root (chmod o-w)", path);
		return KEEPER_EXIT_PERMISSION;
	}
	if (st->st_mode & 0022)
		log_warn(
		    "%s can be written by %s", path, st->st_mode & 0002 ? "everyone" : "its group");
	if (st->st_uid != 0 && st->st_uid != geteuid())
		log_warn(
		    "%s belongs to uid %u, who is neither root nor us", path, (unsigned)st->st_uid);
	return 0;
}

/* The workers' own folder: they may not be allowed to make it in a parent that is root's. */
static void make_data_folder(void)
{
	const struct settings *s = &keeper.settings;

	int fd;

	make_parents(s->data_path);
	if (mkdir(s->data_path, 0750) < 0)
		return; /* it is there, or the worker says why it is not */
	/* by descriptor: whoever owns the parent may put something else under the name */
	fd = open(s->data_path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fchown(fd, s->uid, s->gid) < 0)
		log_warn("%s: cannot give it to the workers: %s", s->data_path, strerror(errno));
	fd_close(&fd);
}

static int make_folder(void)
{
	const char *path = keeper.settings.runtime_path;
	struct stat st;

	make_parents(path);
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return fault(KEEPER_EXIT_UNAVAILABLE, "cannot make the runtime folder");
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || fstat(dir, &st) < 0)
		return fault(KEEPER_EXIT_UNAVAILABLE, "cannot open the runtime folder");
	if (judge(&st) != 0)
		return KEEPER_EXIT_PERMISSION;
	if (!drops())
		return 0;
	/* the second folder: what workers bind and unlink themselves */
	if ((mkdirat(dir, "user", 0755) < 0 && errno != EEXIST) ||
	    fchownat(dir, "user", keeper.settings.uid, keeper.settings.gid, AT_SYMLINK_NOFOLLOW) <
		0)
		return fault(KEEPER_EXIT_UNAVAILABLE, "cannot make the folder user");
	if (keeper.settings.data_path[0])
		make_data_folder();
	return 0;
}

static int take_lock(void)
{
	char pid[24];
	ssize_t n;

	/* flock(2) asks for no right but that to open it: who may read it could keep us out. The
	 * mode of one that an older version made is mended. */
	keeper.lock = openat(dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (keeper.lock < 0 || fchmod(keeper.lock, 0600) < 0)
		return fault(KEEPER_EXIT_UNAVAILABLE, "cannot open the lock");
	if (flock(keeper.lock, LOCK_EX | LOCK_NB) < 0) {
		n = pread(keeper.lock, pid, sizeof pid - 1, 0);
		pid[n > 0 ? n : 0] = '\0';
		log_error("cannot run: already running with pid %d in %s (gadwall stop ends it)",
		    atoi(pid), keeper.settings.runtime_path);
		return KEEPER_EXIT_UNAVAILABLE;
	}
	n = snprintf(pid, sizeof pid, "%d\n", (int)getpid());
	if (ftruncate(keeper.lock, 0) < 0 || pwrite(keeper.lock, pid, (size_t)n, 0) != n)
		return fault(KEEPER_EXIT_UNAVAILABLE, "cannot write the lock");
	FAILPOINT("keeper-lock");
	start_read_orphans(dir);
	return 0;
}

/* The lock of the active generation is taken by its speaker; here only its place is made. */
static int make_active(void)
{
	int fd = openat(dir, "active", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);

	if (fd < 0 || (drops() && fchown(fd, keeper.settings.uid, keeper.settings.gid) < 0))
		return fault(KEEPER_EXIT_UNAVAILABLE, "cannot make the file active");
	close(fd);
	return 0;
}

static int open_sock(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	mode_t mask;
	int bound;

	snprintf(a.sun_path, sizeof a.sun_path, "%.90s/keeper.sock", keeper.settings.runtime_path);
	(void)unlinkat(dir, "keeper.sock", 0); /* ours: we hold the lock */
	keeper.sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (keeper.sock < 0)
		return fault(KEEPER_EXIT_UNAVAILABLE, "cannot make keeper.sock");
	mask = umask(0117);
	bound = bind(keeper.sock, (struct sockaddr *)&a, sizeof a);
	umask(mask);
	if (bound < 0 || listen(keeper.sock, 64) < 0)
		return fault(KEEPER_EXIT_UNAVAILABLE, "cannot bind keeper.sock");
	if (drops() &&
	    fchownat(dir, "keeper.sock", 0, keeper.settings.gid, AT_SYMLINK_NOFOLLOW) < 0)
		return fault(KEEPER_EXIT_UNAVAILABLE, "cannot give keeper.sock to the group");
	return 0;
}

/* Everybody may read a PID file, and so lock it: only the process that it names counts. */
static bool names_a_process(int fd)
{
	char text[24];
	ssize_t n = pread(fd, text, sizeof text - 1, 0);
	pid_t pid;

	text[n > 0 ? n : 0] = '\0';
	pid = (pid_t)atoi(text);
	return pid > 0 && (kill(pid, 0) == 0 || errno == EPERM);
}

/* Written whole under another name, then renamed: a reader sees the old or the new one. */
static int write_pidfile(void)
{
	const char *path = keeper.settings.pidfile;
	char temp[SETTINGS_PATH + 8], line[24];
	int old, n;

	if (!path[0])
		return 0;
	old = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (old >= 0 && flock(old, LOCK_EX | LOCK_NB) < 0 && names_a_process(old)) {
		close(old);
		log_error("cannot run: the PID file %s is locked by another process", path);
		return KEEPER_EXIT_UNAVAILABLE;
	}
	fd_close(&old);
	snprintf(temp, sizeof temp, "%s.new", path);
	(void)unlink(temp);
	n = snprintf(line, sizeof line, "%d\n", (int)getpid());
	keeper.pidfile = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (keeper.pidfile < 0 || flock(keeper.pidfile, LOCK_EX | LOCK_NB) < 0 ||
	    write(keeper.pidfile, line, (size_t)n) != n || rename(temp, path) < 0) {
		int code = errno == EACCES || errno == EPERM ? KEEPER_EXIT_PERMISSION
							     : KEEPER_EXIT_UNAVAILABLE;

		log_error("cannot write the PID file %s: %s", path, strerror(errno));
		(void)unlink(temp);
		fd_close(&keeper.pidfile); /* what lies at `path` is not ours to remove */
		return code;
	}
	return 0;
}

int start_rundir(void)
{
	int code = make_folder();

	if (code == 0)
		code = take_lock();
	if (code == 0)
		code = make_active();
	if (code == 0)
		code = open_sock();
	if (code == 0)
		code = write_pidfile();
	if (code == 0)
		keeper.dir = dir;
	else if (keeper.sock >= 0)
		(void)unlinkat(dir, "keeper.sock", 0);
	return code;
}
