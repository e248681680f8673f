#include "base/background.h"

#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A third of the weight of what serves: less would let a busy machine run into upgrade_timeout. */
enum { STEP = 5, LOWEST = 19, LIMIT_ZERO = 20 }; /* RLIMIT_NICE is 20 - nice */

static struct {
	bool active;
	int level; /* to come back to */
} before;

static int level_now(void)
{
	return getpriority(PRIO_PROCESS, 0);
}

static void lower(int from)
{
	(void)setpriority(PRIO_PROCESS, 0, from + STEP < LOWEST ? from + STEP : LOWEST);
}

static bool has_capability(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};

	return syscall(SYS_capget, &head, data) == 0 && (data[0].effective & (1U << CAP_SYS_NICE));
}

static bool may_return(int level)
{
	struct rlimit r;

	if (has_capability())
		return true;
	return getrlimit(RLIMIT_NICE, &r) == 0 && r.rlim_cur >= (rlim_t)(LIMIT_ZERO - level);
}

void background_stay(void)
{
	before.active = false;
	lower(level_now());
}

void background_begin(void)
{
	int level = level_now();

	if (before.active || !may_return(level))
		return;
	before.level = level;
	before.active = true;
	lower(level);
}

void background_end_child(void)
{
	if (before.active)
		(void)setpriority(PRIO_PROCESS, 0, before.level);
}

void background_end(void)
{
	background_end_child();
	before.active = false;
}

void background_allow(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NICE, &r) < 0 || r.rlim_cur >= LIMIT_ZERO)
		return;
	r.rlim_cur = LIMIT_ZERO;
	if (r.rlim_max < LIMIT_ZERO)
		r.rlim_max = LIMIT_ZERO;
	(void)setrlimit(RLIMIT_NICE, &r);
}
