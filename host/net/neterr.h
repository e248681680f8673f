/* Words for socket errors, as LuaSocket prints them: modules compare these strings. */
#ifndef NET_NETERR_H
#define NET_NETERR_H

/* "closed" (also for a reset), "connection refused", "timeout", "address already in use",
 * "permission denied"; others are strerror's words with a small first letter. Static storage,
 * overwritten by the next call. */
const char *net_strerror(int error);

#endif
