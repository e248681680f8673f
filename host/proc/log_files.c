/* The keeper's lines in the files and the syslog of the option `log`, beside standard error.
 *
 * A worker opens them, as `user` and never through a link, and gives each one to be kept under the
 * name IPC_LOG_PREFIX GENERATION "/" NUMBER "/" LEVELS "/" HOW: LEVELS has bit i for level i; HOW
 * is
 * "-" for a file, "t" and what log_stamp takes for one whose lines begin with the time, "s" and
 * what log_syslog takes for a socket to the syslog daemon. So they are there when no worker is:
 * after a crash, over a change of the keeper's binary, and from an orphan. Reopened ones come under
 * the same name. Only those of the active generation are written to.
 *
 * A file that is written to has to be a regular one, opened for appending, on a file system that
 * nobody's program and no network stands behind: a write must neither wait for anybody nor mean
 * anything. */
#include "proc/log_lines.h"
#include "proc/table.h"

#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

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

/* hex: the pattern of the time, or NULL: without it. */
static void write_line(int fd, const char *hex, enum log_level level, const char *message)
{
	char line[8192], stamp[128] = "";
	int n;

	if (hex)
		log_stamp(stamp, sizeof stamp, hex);
	n = snprintf(line, 192, "%skeeper\t%s\t", stamp, log_level_name(level));
	n += (int)log_escape(line + n, sizeof line - (size_t)n - 1, message);
	line[n++] = '\n';
	if (write(fd, line, (size_t)n) < 0)
		return; /* a full disk must not stop the service; standard error has the line */
}

/* After "GENERATION/": HOW, or NULL if this level is not wanted. */
static const char *how_of(const char *name, enum log_level level)
{
	unsigned number, levels;
	int at = 0;

	if (sscanf(name, "%u/%u/%n", &number, &levels, &at) != 2 || !at || !(levels & 1U << level))
		return NULL;
	return name + at;
}

static void write_to(int fd, const char *how, enum log_level level, const char *message)
{
	if (*how == 's')
		log_syslog(fd, how + 1, level, message);
	else if (is_log(fd))
		write_line(fd, *how == 't' ? how + 1 : NULL, level, message);
}

static bool to_files(void *data, enum log_level level, const char *message)
{
	char prefix[sizeof IPC_LOG_PREFIX + 16];
	size_t n = (size_t)snprintf(prefix, sizeof prefix, IPC_LOG_PREFIX "%u/", keeper.active);

	(void)data;
	for (const struct held *h = keeper.held; h < keeper.held + KEEPER_HELD; h++) {
		bool ours = h->fd >= 0 && strncmp(h->name, prefix, n) == 0;
		const char *how = ours ? how_of(h->name + n, level) : NULL;

		if (how)
			write_to(h->fd, how, level, message);
	}
	return false; /* to standard error as well */
}

void log_files_open(void)
{
	log_lines_open();
	log_sink(to_files, NULL);
}
