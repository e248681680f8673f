/* What an upgrade has to meet before it begins: the state of the host, room for another generation,
 * and a binary that may be run. */
#include "proc/table.h"

#include <sys/stat.h>

static const struct upgrade *const u = &keeper.upgrade;

/* ---- the binary ---- */

/* Root runs what root alone can write. */
static const char *judge_binary(int fd, const char *path)
{
	char folder[SETTINGS_PATH], *slash;
	struct stat st, dir;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return "not a regular file";
	if (faccessat(fd, "", X_OK, AT_EMPTY_PATH | AT_EACCESS) < 0)
		return "not executable";
	if (geteuid() != 0 || keeper.settings.run_as_root)
		return NULL;
	snprintf(folder, sizeof folder, "%s", path);
	slash = strrchr(folder, '/');
	if (slash)
		slash[slash == folder] = '\0';
	if (st.st_uid != 0 || (st.st_mode & 022) || stat(folder, &dir) < 0 || dir.st_uid != 0 ||
	    (dir.st_mode & 022))
		return "others than root can change it or its folder";
	return NULL;
}

int upgrade_open_binary(const char *asked, char *why, size_t size)
{
	const char *ours = keeper.settings.upgrade_binary, *fault;
	const char *path = asked[0] ? asked : ours[0] ? ours : keeper.path;
	int fd = open(path, O_PATH | O_CLOEXEC);

	fault = fd < 0 ? strerror(errno) : judge_binary(fd, path);
	if (!fault)
		return fd;
	snprintf(why, size, "%.100s: %s", path[0] ? path : "(unknown path)", fault);
	fd_close(&fd);
	return -1;
}

/* ---- refusals ---- */

/* A generation costs the keeper that many descriptors at most, besides new listeners: its parts,
 * the reader with what it hands over, saved state, and two for each worker. */
enum { GENERATION_FDS = 16 + 2 * SETTINGS_WORKERS };

/* Asked for before anything is sent that could be lost on the way (SCM_RIGHTS). */
static bool has_descriptors(void)
{
	int fds[GENERATION_FDS], n = 0;

	while (n < GENERATION_FDS && (fds[n] = fcntl(keeper.dir, F_DUPFD_CLOEXEC, 3)) >= 0)
		n++;
	for (int i = 0; i < n; i++)
		close(fds[i]);
	return n == GENERATION_FDS;
}

const char *upgrade_refusal(void)
{
	static char text[120];
	const struct generation *oldest = generation_oldest();
	double left = (u->state != UPGRADE_NONE ? u->due : keeper.hammer_at) - clock_monotonic();

	if (keeper.stopping || keeper.state == HOST_FINISHING)
		return host_state_name(keeper.state);
	if (!keeper.ready)
		return "starting";
	if (u->state == UPGRADE_PROBATION) {
		snprintf(text, sizeof text, "probation, %.0f s left", left > 0 ? left : 0);
		return text;
	}
	if (u->state != UPGRADE_NONE) {
		snprintf(text, sizeof text, "already upgrading (generation %u, state %s)",
		    u->target ? u->target : keeper.highest + 1, upgrade_state_name(u->state));
		return text;
	}
	if (!has_descriptors()) {
		snprintf(text, sizeof text,
		    "the file limit (%ld) leaves no room for another generation",
		    sysconf(_SC_OPEN_MAX));
		return text;
	}
	if (!keeper.settings.cap_refuses || generation_count() < keeper.settings.max_generations)
		return NULL;
	left =
	    oldest && oldest->hammer_at != KEEPER_NEVER ? oldest->hammer_at - clock_monotonic() : 0;
	snprintf(text, sizeof text, "too many generations (%u of %u, oldest %u has %.0f s left)",
	    generation_count(), keeper.settings.max_generations, oldest ? oldest->number : 0, left);
	return text;
}
