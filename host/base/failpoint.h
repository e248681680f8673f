/* Failpoints: places where a test makes the process die, stop, wait or fail.
 *
 * GADWALL_FAILPOINT=name:action[@n][,name:action[@n]…] in test builds (make FAILPOINTS=1); in a
 * release build FAILPOINT is nothing and costs nothing. Actions: kill (SIGKILL to itself), stop
 * (SIGSTOP), abort, exit=N, delay=MS, errno=N (FAILPOINT_ERRNO returns -1 with that errno), short
 * (short write).
 * @n: only the n-th time, counted from 1; gN/name: only in workers of generation N. A name is a
 * word of failpoint_names[], which `gadwall --list-failpoints` prints. */
#ifndef BASE_FAILPOINT_H
#define BASE_FAILPOINT_H

/* All names, NULL-terminated; a FAILPOINT with a name that is not here aborts in test builds. */
extern const char *const failpoint_names[];

/* Does what the environment asks for here; 0, or the errno to fail with, or -1 for "short". */
int failpoint_hit(const char *name);

/* What stands before '/' in clauses for this process: "g2" in a worker of generation 2. */
void failpoint_scope(const char *name);

/* Whether this build has failpoints. */
int failpoint_enabled(void);

#ifdef GADWALL_FAILPOINTS
#define FAILPOINT(name)       ((void)failpoint_hit(name))
#define FAILPOINT_ERRNO(name) failpoint_hit(name)
#else
#define FAILPOINT(name)       ((void)0)
#define FAILPOINT_ERRNO(name) 0
#endif

#endif
