/* Watchers of class admin: health, metrics and the console are heard although the loop is busy.
 *
 * libev delivers what one wait found, those of higher priority first; what comes while a long list
 * is delivered would wait for its end. So whenever a tick of the kernel's clock (1 to 10 ms) has
 * passed, the sockets of class admin are looked at between two callbacks: an operator waits for one
 * callback, or one accept budget, and not for ten thousand of them. */
#ifndef NET_URGENT_H
#define NET_URGENT_H

#include <ev.h>

struct loop;

/* More of them than these have their priority in each turn, no more. */
enum { URGENT_MOST = 64 };

/* Gives a stopped watcher its priority, and a look between callbacks if it is `admin`. */
void urgent_set(struct loop *loop, ev_io *io, int admin);

/* Its descriptor is about to close. Harmless for others. */
void urgent_remove(struct loop *loop, const ev_io *io);

/* Delivers what has come for them, if it is time to look again. For loop_leave, when there are any.
 */
void urgent_look(struct loop *loop);

#endif
