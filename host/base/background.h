/* Work behind the service: what another process serves meanwhile gets the processor first. */
#ifndef BASE_BACKGROUND_H
#define BASE_BACKGROUND_H

#include <stdbool.h>

/* Lowers this process's nice level by 5, to the end of its life. A reader beside a host that
 * serves, and a worker that has nothing left but to free its memory. */
void background_stay(void);

/* The same until background_end(), but only where the process may come back: it has CAP_SYS_NICE,
 * or RLIMIT_NICE allows the level it has now (systemd: LimitNICE=+0). Else nothing happens. */
void background_begin(void);

/* Back to the level before background_begin(); without it, nothing. */
void background_end(void);

/* The same for a child between vfork and exec, in its parent's memory: writes nothing there. */
void background_end_child(void);

/* Lets processes without privileges come back to level 0; needs CAP_SYS_RESOURCE, else nothing
 * happens. For a keeper that starts as root, before it gives its rights up. */
void background_allow(void);

#endif
