#include "proc/log_lines.h"

#include "base/clock.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

enum { PATTERN_MAX = 112, LINE_MAX_BYTES = 8192 };

void log_lines_open(void)
{
	time_t now = time(NULL);
	struct tm tm;

	tzset();
	(void)localtime_r(&now, &tm);
}

/* Returns the length, 0 if it is no text in hex or too long. */
static size_t from_hex(char *to, size_t size, const char *hex)
{
	static const char digits[] = "0123456789abcdef";
	size_t n = 0;

	for (; hex[0] && hex[1] && n + 1 < size; hex += 2) {
		const char *high = strchr(digits, hex[0]), *low = strchr(digits, hex[1]);

		if (!high || !low)
			return 0;
		to[n++] = (char)((high - digits) << 4 | (low - digits));
	}
	to[n] = '\0';
	return *hex ? 0 : n;
}

/* Only what os.date knows: a worker's word must not choose what strftime does besides. */
static bool is_pattern(const char *text)
{
	while ((text = strchr(text, '%'))) {
		if (!text[1] || !strchr("aAbBcCdDeFgGhHIjmMprRSTuUVwWxXyYzZ%", text[1]))
			return false;
		text += 2;
	}
	return true;
}

static void put_time(char *to, size_t size, const char *pattern)
{
	bool utc = pattern[0] == '!';
	time_t now = (time_t)clock_realtime();
	struct tm tm;

	*to = '\0';
	if (!(utc ? gmtime_r(&now, &tm) : localtime_r(&now, &tm)))
		return;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* is_pattern has looked at it */
	if (!strftime(to, size, pattern + utc, &tm))
		*to = '\0';
#pragma GCC diagnostic pop
	log_clean(to, ' ', ' ');
}

void log_stamp(char *to, size_t size, const char *hex)
{
	char pattern[PATTERN_MAX];
	size_t n = from_hex(pattern, sizeof pattern, hex);

	put_time(to, size - 1, n && is_pattern(pattern) ? pattern : "%b %d %H:%M:%S");
	n = strlen(to);
	to[n] = ' ';
	to[n + 1] = '\0';
}

static bool is_datagram_socket(int fd)
{
	int domain = 0, type = 0;
	socklen_t n = sizeof domain, m = sizeof type;

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) == 0 && domain == AF_UNIX &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &m) == 0 && type == SOCK_DGRAM;
}

void log_syslog(int fd, const char *as, enum log_level level, const char *message)
{
	static const int priorities[] = {LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERR};
	static const struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
	char line[LINE_MAX_BYTES], stamp[32], name[PATTERN_MAX];
	const char *hex = strchr(as, '.');
	unsigned facility;
	int n;

	if (!hex || sscanf(as, "%u", &facility) != 1 || facility > LOG_FACMASK ||
	    !from_hex(name, sizeof name, hex + 1) || !is_datagram_socket(fd))
		return;
	log_clean(name, ' ', ' ');
	put_time(stamp, sizeof stamp, "%b %e %H:%M:%S"); /* RFC 3164 */
	n = snprintf(line, 256,
	    "<%u>%s %s[%d]: keeper: ", (facility & LOG_FACMASK) | (unsigned)priorities[level],
	    stamp, name, (int)getpid());
	n += (int)log_escape(line + n, sizeof line - (size_t)n, message);
	if (sendto(fd, line, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)&to,
		sizeof to) < 0)
		return; /* standard error has the line */
}
