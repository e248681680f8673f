#include "base/clock.h"

#include <time.h>

static double read_clock(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

double clock_monotonic(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

double clock_coarse(void)
{
	return read_clock(CLOCK_MONOTONIC_COARSE);
}

double clock_realtime(void)
{
	return read_clock(CLOCK_REALTIME);
}
