/* Log lines of the C side: one event, one line, to standard error; no allocation, no stdio.
 * Shape: "SOURCE              LEVEL<TAB>message", as the worker's console sink (Prosody's) writes
 * it: the journal and container runtimes add the time. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

/* Called with every finished message; false: it could not, write it to standard error. The worker
 * sends it to core.loggingmanager. */
typedef bool log_sink_fn(void *data, enum log_level level, const char *message);

/* Sets the source word of later lines ("keeper", "g1.1"); `source` is copied (≤ 31 bytes). */
void log_source(const char *source);

/* NULL: back to standard error, which hears no debug lines. */
void log_sink(log_sink_fn *fn, void *data);

/* Control characters in the message are written as \xNN; longer than 2,000 bytes is cut. */
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_writev(enum log_level level, const char *format, va_list args);

#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...)  log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)

/* "debug", "info", "warn" or "error". */
const char *log_level_name(enum log_level level);

/* Writes `from` with control characters as \xNN, at most room - 1 bytes and a NUL; returns how many
 * bytes. */
size_t log_escape(char *to, size_t room, const char *from);

/* Every byte below `lowest` becomes `with`: one event stays one line, one word one word. */
void log_clean(char *text, char lowest, char with);

#endif
