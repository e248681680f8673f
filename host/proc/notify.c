/* sd_notify: READY, RELOADING, STOPPING, STATUS, WATCHDOG, FDSTORE to the service manager, if there
 * is one.
 */
#include "proc/table.h"

static struct notify *const notify = &keeper.notify;

void notify_init(void)
{
	const char *path = getenv("NOTIFY_SOCKET"), *usec = getenv("WATCHDOG_USEC");
	const char *pid = getenv("WATCHDOG_PID");
	size_t n = path ? strlen(path) : 0;

	notify->watchdog_due = KEEPER_NEVER;
	if (n > 1 && n < sizeof notify->address.sun_path && (*path == '/' || *path == '@')) {
		notify->address.sun_family = AF_UNIX;
		memcpy(notify->address.sun_path, path, n);
		if (*path == '@')
			notify->address.sun_path[0] = '\0';
		notify->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
		notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	}
	if (notify->fd >= 0 && usec && (!pid || atoi(pid) == getpid())) {
		notify->watchdog = strtod(usec, NULL) / 2e6;
		if (notify->watchdog > 0)
			notify->watchdog_due = 0;
	}
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

void notify_state(const char *words)
{
	if (notify->fd < 0)
		return;
	if (sendto(notify->fd, words, strlen(words), MSG_DONTWAIT | MSG_NOSIGNAL,
		(struct sockaddr *)&notify->address, notify->size) < 0)
		log_debug("the service manager did not hear %s: %s", words, strerror(errno));
}

void notify_store(const char *name, int fd)
{
	char text[KEEPER_NAME + 40];
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {.align = {.cmsg_level = SOL_SOCKET,
			 .cmsg_type = SCM_RIGHTS,
			 .cmsg_len = CMSG_LEN(sizeof fd)}};
	/* FDPOLL=0: one that does not listen yet looks hung up to poll(2), and would be dropped */
	int n = snprintf(text, sizeof text, "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
	struct iovec iov = {.iov_base = text, .iov_len = (size_t)n};
	struct msghdr m = {.msg_name = &notify->address,
	    .msg_namelen = notify->size,
	    .msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = &control,
	    .msg_controllen = sizeof control.room};

	if (notify->fd < 0)
		return;
	memcpy(CMSG_DATA(&control.align), &fd, sizeof fd);
	if (sendmsg(notify->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		log_warn("the service manager does not store %s: %s", name, strerror(errno));
}

void notify_unstore(const char *name)
{
	char text[KEEPER_NAME + 40];

	snprintf(text, sizeof text, "FDSTOREREMOVE=1\nFDNAME=%s", name);
	notify_state(text);
}

void notify_reloading(void)
{
	char text[64];

	snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%.0f", clock_monotonic() * 1e6);
	notify_state(text);
}

void notify_status(void)
{
	char text[sizeof notify->status];
	static unsigned before; /* sessions when we last looked */
	unsigned living = 0, sessions = 0;

	FOR_WORKERS (w)
		if (worker_lives(w)) {
			living++;
			sessions += w->sessions;
		}
	if (keeper.told_stopping && sessions < before)
		notify_state("EXTEND_TIMEOUT_USEC=15000000"); /* it goes on: the hammer is ours */
	before = sessions;
	snprintf(text, sizeof text, "STATUS=%s%s%s, generation %u, %u worker%s, %u session%s",
	    host_state_name(keeper.state), keeper.phase[0] ? " " : "", keeper.phase, keeper.active,
	    living, living == 1 ? "" : "s", sessions, sessions == 1 ? "" : "s");
	if (strcmp(text, notify->status) == 0)
		return;
	memcpy(notify->status, text, sizeof text);
	notify_state(text);
}

double notify_clock(double now)
{
	if (now >= notify->watchdog_due) {
		notify_state("WATCHDOG=1");
		notify->watchdog_due = now + notify->watchdog;
	}
	return notify->watchdog_due;
}
