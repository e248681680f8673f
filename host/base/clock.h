/* Clocks. Deadlines are monotonic; only what people read is realtime. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

/* Monotonic seconds (CLOCK_MONOTONIC, never goes back, stops in suspend). */
double clock_monotonic(void);

/* The same clock, exact to one tick of the kernel (4 ms), in 5 ns instead of 25. */
double clock_coarse(void);

/* Realtime seconds since 1970 (CLOCK_REALTIME). */
double clock_realtime(void);

#endif
