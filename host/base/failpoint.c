#include "base/failpoint.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* One at every state of start, restart, stop and upgrade. */
const char *const failpoint_names[] = {
    "keeper-start",
    "keeper-reader",
    "keeper-lock",
    "keeper-spawn",
    "keeper-hello",
    "keeper-held",
    "keeper-begin",
    "keeper-ready",
    "keeper-restart",
    "keeper-stop",
    "keeper-reload",
    "keeper-check",
    "keeper-upgrade-spawn",
    "keeper-load",
    "keeper-upgrade-ready",
    "keeper-commit",
    "keeper-yield",
    "keeper-take",
    "keeper-record",
    "keeper-activate",
    "keeper-probation",
    "keeper-rollback",
    "keeper-retire",
    "keeper-end",
    "keeper-attach",
    "keeper-adopted",
    "keeper-trial",
    "keeper-reexec",
    "reader-start",
    "reader-config",
    "reader-send",
    "worker-start",
    "worker-hello",
    "worker-boot",
    "worker-bind",
    "worker-spawn",
    "worker-hold",
    "worker-ready",
    "worker-serving",
    "worker-beat",
    "worker-verb",
    "worker-yield",
    "worker-take",
    "worker-activate",
    "worker-yielded",
    "worker-resume",
    "worker-retire",
    "worker-stop",
    "worker-leaving",
    "worker-exit",
    "worker-lost",
    "worker-attach",
    "worker-adopted",
    "net-accept",
    "net-recv",
    "net-send",
    NULL,
};

int failpoint_enabled(void)
{
#ifdef GADWALL_FAILPOINTS
	return 1;
#else
	return 0;
#endif
}

#ifdef GADWALL_FAILPOINTS
enum { NAMES_MAX = 64 };

static unsigned hits[NAMES_MAX];
static char scope[32]; /* "g2/" */

void failpoint_scope(const char *name)
{
	snprintf(scope, sizeof scope, "%s/", name);
}

static int index_of(const char *name)
{
	for (int i = 0; failpoint_names[i]; i++)
		if (strcmp(failpoint_names[i], name) == 0)
			return i;
	abort(); /* a typing error in our own source */
}

static int act(const char *action)
{
	struct timespec t;
	long ms;

	if (strncmp(action, "kill", 4) == 0)
		raise(SIGKILL);
	else if (strncmp(action, "stop", 4) == 0)
		raise(SIGSTOP);
	else if (strncmp(action, "abort", 5) == 0)
		abort();
	else if (strncmp(action, "exit=", 5) == 0)
		_exit(atoi(action + 5));
	else if (strncmp(action, "errno=", 6) == 0)
		return atoi(action + 6);
	else if (strncmp(action, "short", 5) == 0)
		return -1;
	else if (strncmp(action, "delay=", 6) == 0) {
		ms = atol(action + 6);
		t = (struct timespec){ms / 1000, ms % 1000 * 1000000};
		nanosleep(&t, NULL);
	}
	return 0;
}

/* Looked up once: a worker takes what is ours out of its environment (core/runtime.lua). */
static const char *wanted(void)
{
	static const char *copy;
	static bool looked;
	const char *value = looked ? NULL : getenv("GADWALL_FAILPOINT");

	looked = true;
	if (value)
		copy = strdup(value);
	return copy;
}

int failpoint_hit(const char *name)
{
	const char *p = wanted();
	unsigned n = ++hits[index_of(name)];
	size_t len = strlen(name), within = strlen(scope);

	while (p && *p) {
		const char *at = strchr(p, '@'), *end = strchr(p, ',');

		if (within > 0 && strncmp(p, scope, within) == 0)
			p += within;

		if (!end)
			end = p + strlen(p);
		if (strncmp(p, name, len) == 0 && p[len] == ':' &&
		    (!at || at > end || (unsigned)atoi(at + 1) == n))
			return act(p + len + 1);
		p = *end ? end + 1 : end;
	}
	return 0;
}
#else
void failpoint_scope(const char *name)
{
	(void)name;
}

int failpoint_hit(const char *name)
{
	(void)name;
	return 0;
}
#endif
