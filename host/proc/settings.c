#include "proc/settings.h"

#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const state_names[HOST_STATES] = {
    "starting", "passive", "serving", "draining", "finishing", "stopping", "stopped", "failed"};

static const char *const verb_names[HOST_VERBS] = {"none", "shutdown", "finish", "drain", "undrain",
    "reload", "reopen-logs", "upgrade", "rollback", "hammer", "abort", "extend", "signal", "status",
    "test-generation"};

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

static bool within(double value, double low, double high)
{
	return value >= low && value <= high;
}

static bool is_path(const char *p)
{
	return memchr(p, '\0', SETTINGS_PATH) != NULL;
}

static const char *check_paths(const struct settings *s)
{
	if (!is_path(s->config_file))
		return "config_file: too long";
	if (!is_path(s->pidfile) || (s->pidfile[0] && s->pidfile[0] != '/'))
		return "pidfile: not an absolute path of at most 255 bytes";
	/* 108 bytes is what a socket address holds; "/keeper.sock" goes behind it */
	if (!is_path(s->runtime_path) || s->runtime_path[0] != '/' || strlen(s->runtime_path) > 90)
		return "runtime_path: not an absolute path of at most 90 bytes";
	if (!is_path(s->data_path))
		return "data_path: too long";
	if (!is_path(s->admin_socket) || strlen(s->admin_socket) > 107)
		return "admin_socket: longer than 107 bytes";
	return NULL;
}

static const char *check_times(const struct settings *s)
{
	const double day = 86400;

	if (!within(s->start_timeout, 0.1, day))
		return "start_timeout: not between 0.1 and 86400 s";
	if (s->worker_timeout != -1 && !within(s->worker_timeout, 0.2, day))
		return "worker_timeout: not unlimited and not between 0.2 and 86400 s";
	if (!within(s->worker_heartbeat, 0.02, day))
		return "worker_heartbeat: not between 0.02 and 86400 s";
	if (s->hammer_time != -1 && !within(s->hammer_time, 0, 30 * day))
		return "hammer_time: neither -1 nor between 0 and 2592000 s";
	if (!within(s->shutdown_timeout, 0, 30 * day))
		return "shutdown_timeout: not between 0 and 2592000 s";
	if (!within(s->orphan_timeout, 0, day))
		return "orphan_timeout: not between 0 and 86400 s";
	if (!within(s->process_kill_timeout, 0, day))
		return "process_kill_timeout: not between 0 and 86400 s";
	if (!within(s->backoff_min, 0.01, 3600) || !within(s->backoff_max, s->backoff_min, 3600))
		return "restart_backoff: not two numbers from 0.01 to 3600 s, the smaller first";
	if (s->limit_count < 1 || s->limit_count > SETTINGS_DEATHS ||
	    !within(s->limit_seconds, 0.1, day))
		return "restart_limit: not a count from 1 to 16 and 0.1 to 86400 s";
	return NULL;
}

static const char *check_lists(const struct settings *s)
{
	if (s->ngroups > SETTINGS_GROUPS)
		return "groups: more than 64";
	if (s->naddresses > SETTINGS_ADDRESSES)
		return "addresses: more than 64";
	for (uint32_t i = 0; i < s->naddresses; i++) {
		const struct settings_address *a = &s->addresses[i];

		if (!memchr(a->interface, '\0', sizeof a->interface) || a->port < 1 ||
		    a->port > 1023)
			return "addresses: not an interface and a port below 1024";
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

	if (s->magic != SETTINGS_MAGIC || s->size != sizeof *s)
		return "settings: from another version";
	if (s->workers < 1 || s->workers > SETTINGS_WORKERS)
		return "workers: not between 1 and 16";
	if (s->umask > 0777)
		return "umask: not between 0 and 0777";
	if (s->lua_memory_limit != 0 && s->lua_memory_limit < 1048576)
		return "lua_memory_limit: less than 1 MiB";
	if ((s->uid == SETTINGS_NO_ID) != (s->gid == SETTINGS_NO_ID))
		return "user_uid: needs user_gid, and the other way round";
	why = check_paths(s);
	if (!why)
		why = check_times(s);
	return why ? why : check_lists(s);
}

const char *settings_read(int fd, struct settings *s_r)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || st.st_size != (off_t)sizeof *s_r ||
	    pread(fd, s_r, sizeof *s_r, 0) != (ssize_t)sizeof *s_r)
		return "settings: wrong size";
	return settings_check(s_r);
}
