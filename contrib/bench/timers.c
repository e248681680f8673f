/* timers - cost of adding and cancelling N timers with random expiries in a libev heap. */
#include "lg.h"

#include <ev.h>
static void cb(struct ev_loop *l, ev_timer *w, int r)
{
	(void)l;
	(void)w;
	(void)r;
}
static uint64_t x = 88172645463325252ull;
static double rnd(void)
{
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (double)(x >> 11) * (1.0 / 9007199254740992.0);
}
int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 1000000;
	struct ev_loop *l = ev_default_loop(0);
	ev_timer *t = calloc(n > 0 ? (size_t)n : 1, sizeof *t);
	if (!t)
		die("calloc");
	for (int i = 0; i < n; i++)
		ev_timer_init(&t[i], cb, 60 + rnd() * 1000, 0);
	uint64_t a = now_ns();
	for (int i = 0; i < n; i++)
		ev_timer_start(l, &t[i]);
	uint64_t b = now_ns();
	for (int i = 0; i < n; i++) {
		t[i].repeat = 60 + rnd() * 1000;
		ev_timer_again(l, &t[i]);
	}
	uint64_t c = now_ns();
	for (int i = 0; i < n; i++)
		ev_timer_stop(l, &t[i]);
	uint64_t d = now_ns();
	printf("{\"n\":%d,\"add_ns\":%.1f,\"resched_ns\":%.1f,\"cancel_ns\":%.1f}\n", n,
	    (double)(b - a) / n, (double)(c - b) / n, (double)(d - c) / n);
	free(t);
	return 0;
}
