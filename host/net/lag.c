#include "net/lag.h"

#include <math.h>
#include <string.h>

/* Four buckets for each doubling, from one microsecond. */
static int bucket_of(double seconds)
{
	int exponent, n;
	double fraction = frexp(seconds * 1e6, &exponent); /* 0.5 to 1, times 2^exponent */

	if (exponent < 1 || fraction < 0.5) /* nothing, or a clock that stepped back */
		return 0;
	n = (exponent - 1) * 4 + (int)((fraction - 0.5) * 8);
	return n < LAG_BUCKETS ? n : LAG_BUCKETS - 1;
}

static double end_of(int bucket)
{
	return ldexp(0.5 + (bucket % 4 + 1) / 8.0, bucket / 4 + 1) / 1e6;
}

void lag_add(struct lag *lag, double seconds, double now)
{
	if (now - lag->since > LAG_WINDOW) {
		memcpy(lag->before, lag->current, sizeof lag->before);
		memset(lag->current, 0, sizeof lag->current);
		lag->since = now;
	}
	lag->current[bucket_of(seconds)]++;
	lag->all[bucket_of(seconds)]++;
	lag->turns++;
	lag->sum += seconds > 0 ? seconds : 0;
}

uint64_t lag_within(const struct lag *lag, double seconds)
{
	uint64_t n = 0;

	for (int i = 0; i < LAG_BUCKETS && end_of(i) <= seconds * (1 + 1e-9); i++)
		n += lag->all[i];
	return n;
}

double lag_p99(const struct lag *lag)
{
	uint64_t total = 0, seen = 0;
	int i;

	for (i = 0; i < LAG_BUCKETS; i++)
		total += (uint64_t)lag->current[i] + lag->before[i];
	if (total == 0)
		return 0;
	for (i = 0; i < LAG_BUCKETS - 1; i++) {
		seen += (uint64_t)lag->current[i] + lag->before[i];
		if (seen * 100 >= total * 99)
			break;
	}
	return end_of(i);
}
