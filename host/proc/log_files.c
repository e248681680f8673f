/* The keeper's lines in the files of the option `log`, beside standard error.
 *
 * A worker opens them, as `user` and never through a link, and gives each one to be kept under the
 * name IPC_LOG_PREFIX GENERATION "/" NUMBER "/" LEVELS "/" ("t" | "-"): LEVELS has bit i for level
 * i, "t" means that lines begin with the time. So they are there when no worker is: after a crash,
 * over a change of the keeper's binary, and from an orphan. Reopened ones come under the same name.
 * Only those of the active generation are written to.
 *
 * What is written to has to be a regular file, opened for appending, on a file system that nobody's
 * program and no network stands behind: a write must neither wait for anybody nor mean anything. */
#include "proc/table.h"

#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>

/* Not in every linux/magic.h. */
enum { FUSE_MAGIC = 0x65735546, CIFS_MAGIC = (int)0xff534d42, SMB2_MAGIC = (int)0xfe534d42 };

static bool may_wait(int fd)
{
	static const int types[] = {PROC_SUPER_MAGIC, SYSFS_MAGIC, CGROUP_SUPER_MAGIC,
	    CGROUP2_SUPER_MAGIC, DEBUGFS_MAGIC, TRACEFS_MAGIC, SECURITYFS_MAGIC, BPF_FS_MAGIC,
	    NFS_SUPER_MAGIC, FUSE_MAGIC, CIFS_MAGIC, SMB2_MAGIC};
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return true;
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if ((int)fs.f_type == types[i])
			return true;
	return false;
}

/* A file that standard error goes to already has the line. */
static bool is_log(int fd)
{
	struct stat st, err = {0};
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || !(flags & O_APPEND) || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return false;
	(void)fstat(STDERR_FILENO, &err);
	return (st.st_dev != err.st_dev || st.st_ino != err.st_ino) && !may_wait(fd);
}

/* As the worker's default: "Nov 26 19:47:35 ". The zone is the one of our start. */
static void put_time(char *to, size_t size)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t now = (time_t)clock_realtime();
	struct tm tm;

	if (!localtime_r(&now, &tm))
		memset(&tm, 0, sizeof tm);
	snprintf(to, size, "%.3s %02d %02d:%02d:%02d ", months + (ptrdiff_t)3 * tm.tm_mon,
	    tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static void write_line(int fd, bool timed, enum log_level level, const char *message)
{
	char line[8192], stamp[32] = "";
	int n;

	if (timed)
		put_time(stamp, sizeof stamp);
	n = snprintf(line, 128, "%skeeper\t%s\t", stamp, log_level_name(level));
	n += (int)log_escape(line + n, sizeof line - (size_t)n - 1, message);
	line[n++] = '\n';
	if (write(fd, line, (size_t)n) < 0)
		return; /* a full disk must not stop the service; standard error has the line */
}

/* After "GENERATION/": whether this level is wanted, and with the time. */
static bool wants(const char *name, enum log_level level, bool *timed_r)
{
	unsigned number, levels;
	char timed;

	if (sscanf(name, "%u/%u/%c", &number, &levels, &timed) != 3)
		return false;
	*timed_r = timed == 't';
	return levels & 1U << level;
}

static bool to_files(void *data, enum log_level level, const char *message)
{
	char prefix[sizeof IPC_LOG_PREFIX + 16];
	size_t n = (size_t)snprintf(prefix, sizeof prefix, IPC_LOG_PREFIX "%u/", keeper.active);
	bool timed;

	(void)data;
	for (const struct held *h = keeper.held; h < keeper.held + KEEPER_HELD; h++)
		if (h->fd >= 0 && strncmp(h->name, prefix, n) == 0 &&
		    wants(h->name + n, level, &timed) && is_log(h->fd))
			write_line(h->fd, timed, level, message);
	return false; /* to standard error as well */
}

void log_files_open(void)
{
	time_t now = time(NULL);
	struct tm tm;

	tzset(); /* reads and allocates, which is over when the loop begins */
	(void)localtime_r(&now, &tm);
	log_sink(to_files, NULL);
}
