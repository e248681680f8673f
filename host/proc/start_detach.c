#include "proc/start_detach.h"

#include "base/fd.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FAILED = 71 };

static int report = -1;
static bool relayed;

static ssize_t relay(int from)
{
	char text[4096];
	ssize_t n = read(from, text, sizeof text);

	if (n > 0 && write(STDERR_FILENO, text, (size_t)n) < 0)
		return -1;
	return n;
}

static int wait_ready(int status_fd, int words)
{
	struct pollfd p[2] = {{.fd = status_fd, .events = POLLIN}, {.fd = words, .events = POLLIN}};
	unsigned char code = FAILED; /* the end without a word */

	for (;;) {
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return FAILED;
		if (p[1].revents && relay(words) <= 0)
			p[1].fd = -1;
		if (!p[0].revents)
			continue;
		if (read(status_fd, &code, 1) < 0)
			return FAILED;
		while (p[1].fd >= 0 && poll(p + 1, 1, 0) == 1 && relay(words) > 0)
			;
		return code;
	}
}

/* A file that standard output or error was sent to stays the log; a terminal or a pipe is let go,
 * because whoever started us waits for its end. */
static bool is_kept(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

static void become_background(int words)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)setsid();
	if (null >= 0) {
		(void)dup2(null, STDIN_FILENO);
		if (!is_kept(STDOUT_FILENO))
			(void)dup2(null, STDOUT_FILENO);
	}
	if (words >= 0)
		(void)dup2(words, STDERR_FILENO);
	fd_close(&null);
}

bool detach_start(int *status_r)
{
	int status[2], words[2] = {-1, -1};
	pid_t pid;

	relayed = !is_kept(STDERR_FILENO);
	*status_r = FAILED;
	if (pipe2(status, O_CLOEXEC) < 0 || (relayed && pipe2(words, O_CLOEXEC) < 0) ||
	    (pid = fork()) < 0) {
		log_error("cannot detach: %s", strerror(errno));
		return true;
	}
	if (pid > 0) {
		close(status[1]);
		fd_close(&words[1]);
		*status_r = wait_ready(status[0], words[0]);
		return true;
	}
	close(status[0]);
	fd_close(&words[0]);
	become_background(words[1]);
	fd_close(&words[1]);
	report = status[1];
	return false;
}

void detach_done(int status)
{
	unsigned char code = (unsigned char)status;
	int null;

	if (report < 0)
		return;
	null = relayed ? open("/dev/null", O_WRONLY | O_CLOEXEC) : -1;
	if (write(report, &code, 1) < 0)
		log_warn("nobody waits for the start any more");
	fd_close(&report);
	if (null >= 0)
		(void)dup2(null, STDERR_FILENO);
	fd_close(&null);
}
