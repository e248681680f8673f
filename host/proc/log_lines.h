/* What the keeper's lines look like in log files and in syslog. Nothing here allocates or waits. */
#ifndef PROC_LOG_LINES_H
#define PROC_LOG_LINES_H

#include "base/log.h"

#include <stddef.h>

/* Reads the time zone, which allocates: before the loop begins. */
void log_lines_open(void);

/* The time as the worker's sink writes it, with a space behind it; at most size - 1 bytes and a
 * NUL. `hex` is the sink's pattern (that of os.date, "!" first means UTC), two hex digits a byte;
 * "" and what is no pattern mean the default, "Nov 26 19:47:35 ". The zone is the one of our start.
 */
void log_stamp(char *to, size_t size, const char *hex);

/* Sends a line to the syslog daemon, as syslog(3) would in the worker; one that it does not take at
 * once is lost. `fd` is a Unix datagram socket that is not connected, so that the daemon may be
 * started anew; `as` is "FACILITY.NAME", the number and, in hex, the word that lines begin with. */
void log_syslog(int fd, const char *as, enum log_level level, const char *message);

#endif
