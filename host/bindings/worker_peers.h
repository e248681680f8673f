/* Channels to the other workers of the generation: the keeper has made them and knows nothing of
 * what is said. One SOCK_SEQPACKET datagram a message, at most once: what the other one does not
 * read in time is dropped, so that a stopped worker never holds up its neighbours.
 *
 *   header  magic, version, worker, generation, length     16 bytes, host byte order
 *   text    at most PEERS_TEXT_MAX bytes
 *
 * Receipt is strict: anything else closes the channel. */
#ifndef BINDINGS_WORKER_PEERS_H
#define BINDINGS_WORKER_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PEERS_TEXT_MAX = 64 * 1024 - 16 };

/* Called in the loop for a message from worker `from`; with text NULL when its channel has come or
 * gone. The text is the caller's. */
typedef void peers_fn(uint32_t from, const char *text, size_t length);

/* What comes from now on goes to `fn`; what came before waits in its channel. NULL: to nobody. */
void peers_listen(peers_fn *fn);

/* Takes the end of the channel to worker `number` (1 to SETTINGS_WORKERS, else it is closed); an
 * older one to it is closed. */
void peers_take(uint32_t number, int fd);

/* Whether there is a channel to that worker: it lives, as far as the kernel knows. */
bool peers_has(uint32_t number);

/* Sends without waiting. 0, or -1 with errno: EAGAIN (dropped, the other one does not read; the log
 * says so once a second), EMSGSIZE, ENOTCONN (no such worker). */
int peers_send(uint32_t number, const char *text, size_t length);

/* Closes all. */
void peers_stop(void);

#endif
