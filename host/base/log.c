#include "base/log.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MESSAGE_MAX = 2000 };

static const char *const names[] = {"debug", "info", "warn", "error"};
static char source_word[32] = "gadwall";
static log_sink_fn *sink;
static void *sink_data;

void log_source(const char *source)
{
	snprintf(source_word, sizeof source_word, "%s", source);
}

void log_sink(log_sink_fn *fn, void *data)
{
	sink = fn;
	sink_data = data;
}

const char *log_level_name(enum log_level level)
{
	return names[level];
}

/* What came from outside must not end the line or move the cursor. */
size_t log_escape(char *to, size_t room, const char *from)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = 0;

	for (; *from && n + 5 < room; from++) {
		unsigned char c = (unsigned char)*from;

		/* U+0080 to U+009F: a terminal takes U+009B for the start of a command */
		if (c == 0xc2 && (from[1] & 0xe0) == 0x80)
			c = (unsigned char)*++from;
		else if (c >= 0x20 && c != 0x7f) {
			to[n++] = (char)c;
			continue;
		}
		to[n++] = '\\';
		to[n++] = 'x';
		to[n++] = hex[c >> 4];
		to[n++] = hex[c & 15];
	}
	to[n] = '\0';
	return n;
}

static void to_stderr(enum log_level level, const char *message)
{
	char line[MESSAGE_MAX * 4 + 128];
	size_t n;

	n = (size_t)snprintf(line, 64, "%-20s%s\t", source_word, names[level]);
	n += log_escape(line + n, sizeof line - n - 1, message);
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, n) < 0)
		return; /* a log that nobody reads must not stop the service */
}

void log_writev(enum log_level level, const char *format, va_list args)
{
	char message[MESSAGE_MAX];

	vsnprintf(message, sizeof message, format, args);
	if ((!sink || !sink(sink_data, level, message)) && level > LOG_LEVEL_DEBUG)
		to_stderr(level, message);
}

void log_write(enum log_level level, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_writev(level, format, args);
	va_end(args);
}

void log_clean(char *text, char lowest, char with)
{
	for (unsigned char *p = (unsigned char *)text; *p; p++)
		if (*p < (unsigned char)lowest)
			*p = (unsigned char)with;
}
