#include "proc/settings.h"

#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Up to the last field of the first version that could upgrade. */
enum { SETTINGS_SIZE_MIN = offsetof(struct settings, upgrade_binary) + SETTINGS_PATH };

static const char *const state_names[HOST_STATES] = {
    "starting", "passive", "serving", "draining", "finishing", "stopping", "stopped", "failed"};

static const char *const verb_names[HOST_VERBS] = {"none", "shutdown", "finish", "drain", "undrain",
    "reload", "reopen-logs", "upgrade", "rollback", "hammer", "abort", "activate", "extend",
    "signal", "status", "test-generation", "report"};

const char *host_state_name(enum host_state state)
{
	return state < HOST_STATES ? state_names[state] : "?";
}

const char *host_verb_name(enum host_verb verb)
{
	return verb < HOST_VERBS ? verb_names[verb] : "?";
}

static int index_of(const char *const *names, int count, const char *name)
{
	for (int i = 0; i < count; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -1;
}

int host_state_of(const char *name)
{
	return index_of(state_names, HOST_STATES, name);
}

int host_verb_of(const char *name)
{
	return index_of(verb_names, HOST_VERBS, name);
}

/* Ranges of the periods, in seconds; `off`: -1 means never. */
static const struct {
	size_t at;
	double low, high;
	bool off;
	const char *why;
} periods[] = {
#define PERIOD(field, low, high, off)                                                              \
	{                                                                                          \
		offsetof(struct settings, field), low, high, off,                                  \
		    #field ": not between " #low " and " #high " s"                                \
	}
    PERIOD(start_timeout, 0.1, 86400, false),
    PERIOD(worker_timeout, 0.2, 86400, true),
    PERIOD(worker_heartbeat, 0.02, 86400, false),
    PERIOD(hammer_time, 0, 2592000, true),
    PERIOD(shutdown_timeout, 0, 2592000, false),
    PERIOD(orphan_timeout, 0, 86400, false),
    PERIOD(process_kill_timeout, 0, 86400, false),
    PERIOD(upgrade_timeout, 0.1, 86400, false),
    PERIOD(upgrade_probation, 0, 86400, false),
    PERIOD(backoff_min, 0.01, 3600, false),
    PERIOD(backoff_max, 0.01, 3600, false),
    PERIOD(limit_seconds, 0.1, 86400, false),
};

static const char *check_periods(const struct settings *s)
{
	for (size_t i = 0; i < sizeof periods / sizeof *periods; i++) {
		double value;

		memcpy(&value, (const char *)s + periods[i].at, sizeof value);
		if (!(periods[i].off && value == -1) &&
		    !(value >= periods[i].low && value <= periods[i].high))
			return periods[i].why;
	}
	if (s->backoff_max < s->backoff_min)
		return "restart_backoff: the smaller number comes first";
	if (s->limit_count < 1 || s->limit_count > SETTINGS_DEATHS)
		return "restart_limit: the count is not between 1 and 16";
	return NULL;
}

static bool is_path(const char *p)
{
	return memchr(p, '\0', SETTINGS_PATH) != NULL;
}

static const char *check_paths(const struct settings *s)
{
	if (!is_path(s->config_file) || !is_path(s->data_path))
		return "config_file, data_path: longer than 255 bytes";
	if (!is_path(s->pidfile) || (s->pidfile[0] && s->pidfile[0] != '/'))
		return "pidfile: not an absolute path of at most 255 bytes";
	/* 108 bytes is what a socket address holds; "/keeper.sock" goes behind it */
	if (!is_path(s->runtime_path) || s->runtime_path[0] != '/' || strlen(s->runtime_path) > 90)
		return "runtime_path: not an absolute path of at most 90 bytes";
	if (!is_path(s->upgrade_binary) || (s->upgrade_binary[0] && s->upgrade_binary[0] != '/'))
		return "upgrade_binary: not an absolute path of at most 255 bytes";
	if (!is_path(s->admin_socket) || strlen(s->admin_socket) > 107)
		return "admin_socket: longer than 107 bytes";
	return NULL;
}

static const char *check_lists(const struct settings *s)
{
	if (s->ngroups > SETTINGS_GROUPS)
		return "groups: more than 64";
	if (s->naddresses > SETTINGS_ADDRESSES)
		return "addresses: more than 64";
	for (uint32_t i = 0; i < s->naddresses; i++) {
		const union settings_address *a = &s->addresses[i];
		/* the port stands at one place in both kinds */
		int port = ntohs(a->v4.sin_port), family = a->any.sa_family;

		if ((family != AF_INET && family != AF_INET6) || port < 1 || port > 1023)
			return "addresses: not an address with a port below 1024";
	}
	for (int i = 0; i < SETTINGS_SIGNALS; i++)
		for (int j = 0; j < HOST_STATES; j++)
			if (s->signals[i][j] >= VERB_ABORT)
				return "signals: not a verb that a signal may have";
	return NULL;
}

const char *settings_check(const struct settings *s)
{
	const char *why;

	if (s->magic != SETTINGS_MAGIC)
		return "settings: not a struct of settings";
	if (s->workers < 1 || s->workers > SETTINGS_WORKERS)
		return "workers: not between 1 and 16";
	if (s->max_generations < 2 || s->max_generations > SETTINGS_GENERATIONS)
		return "max_generations: not between 2 and 4";
	if (s->umask > 0777)
		return "umask: not between 0 and 0777";
	if (s->lua_memory_limit != 0 && s->lua_memory_limit < 1048576)
		return "lua_memory_limit: less than 1 MiB";
	if ((s->uid == SETTINGS_NO_ID) != (s->gid == SETTINGS_NO_ID))
		return "user_uid: needs user_gid, and the other way round";
	why = check_paths(s);
	if (!why)
		why = check_periods(s);
	return why ? why : check_lists(s);
}

const char *settings_read(int fd, struct settings *s_r)
{
	size_t size = sizeof *s_r;
	struct stat st;

	memset(s_r, 0, size);
	if (fstat(fd, &st) < 0 || st.st_size < (off_t)SETTINGS_SIZE_MIN ||
	    st.st_size > SETTINGS_SIZE_MAX)
		return "settings: wrong size";
	if ((size_t)st.st_size < size)
		size = (size_t)st.st_size;
	if (pread(fd, s_r, size, 0) != (ssize_t)size || s_r->size != st.st_size)
		return "settings: wrong size";
	return settings_check(s_r);
}
