/* Descriptors: small helpers that every layer needs. */
#ifndef BASE_FD_H
#define BASE_FD_H

#include <stddef.h>

/* Closes *fd unless it is -1 and sets it to -1; errno is kept. */
void fd_close(int *fd);

/* Each variable gets the other's descriptor. */
void fd_swap(int *a, int *b);

/* Puts /dev/null on each of 0, 1, 2 that is closed, so that no socket ever gets such a number.
 * 0, or -1 with errno (no /dev/null). */
int fd_repair_stdio(void);

/* From here on a write to this standard stream never waits for its reader: where it is a pipe or a
 * terminal it becomes an open file of ours, so that others who write there notice nothing; a
 * socket's (the journal's) is O_NONBLOCK for all who have it. What may not be opened anew (it is
 * another user's) stays as it was, and so does a file. */
void fd_never_wait(int fd);

/* Raises the soft limit of open files to the hard one; returns the soft limit now in force. */
size_t fd_raise_limit(void);

/* O_NONBLOCK and FD_CLOEXEC on; 0, or -1 with errno. */
int fd_set_flags(int fd);

/* A sealed memfd (no write, grow, shrink) holding `size` bytes; -1 with errno. Caller owns it. */
int fd_memfd(const char *name, const void *data, size_t size);

#endif
