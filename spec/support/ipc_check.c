/* Messages cut at each byte, and descriptors of every wrong kind: run by
 * spec/system/ipc_messages_spec.lua. Prints one line a fault; the exit status is 1 if there was
 * one. */
#include "base/fd.h"
#include "proc/ipc.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static int pair[2], faults;

static void check(int ok, const char *what, unsigned long at)
{
	if (ok)
		return;
	printf("not ok: %s (%lu)\n", what, at);
	faults++;
}

static int count_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* What receives it says: 1, or 0 for a refusal with EPROTO. */
static int accepted(enum ipc_from from)
{
	static struct ipc_message m;
	int got;

	errno = 0;
	got = ipc_recv(pair[0], &m, from);
	if (got > 0)
		ipc_close_fds(&m);
	else
		check(errno == EPROTO, "refused with another errno", (unsigned long)errno);
	return got > 0;
}

static void cut_everywhere(void)
{
	struct ipc_message m;
	size_t whole;

	ipc_pack(&m, IPC_REQUEST, 5, "ss", "shutdown", "because");
	whole = sizeof m.header + m.header.length;
	for (size_t n = 1; n <= whole; n++) {
		check(send(pair[1], &m, n, 0) == (ssize_t)n, "send", n);
		check(accepted(IPC_FROM_WORKER) == (n == whole), "cut message", n);
	}
	check(send(pair[1], &m, whole + 1, 0) > 0, "send", whole + 1);
	check(!accepted(IPC_FROM_WORKER), "message with a byte too many", whole);
}

static void flip_header(void)
{
	struct ipc_message m;

	for (size_t at = 0; at < 8; at++) {
		ipc_pack(&m, IPC_READY, 0, "");
		((unsigned char *)&m)[at] ^= 0x55;
		check(send(pair[1], &m, sizeof m.header, 0) > 0, "send", at);
		check(!accepted(IPC_FROM_WORKER), "damaged header", at);
	}
}

static void wrong_speaker(void)
{
	struct ipc_message m;

	for (unsigned type = 0; type < IPC_TYPES + 4U; type++) {
		int worker, keeper;

		ipc_pack(&m, (enum ipc_type)type, 0, "");
		(void)ipc_send(pair[1], &m);
		worker = accepted(IPC_FROM_WORKER);
		(void)ipc_send(pair[1], &m);
		keeper = accepted(IPC_FROM_KEEPER);
		check(!(worker && keeper), "type of two speakers", type);
		check(!worker || (type >= IPC_READY && type <= IPC_LEAVING) || type == IPC_CHILD ||
			  type == IPC_CHILD_ENDED || type == IPC_ATTACHED || type == IPC_WANT,
		    "worker's word", type);
	}
}

static void versions(void)
{
	static struct ipc_message m;
	int text = fd_memfd("check", "x", 1);

	for (unsigned version = 0; version < IPC_VERSION + 3; version++) {
		int known = version == IPC_VERSION || version == IPC_VERSION - 1;

		ipc_pack(&m, IPC_READY, 0, "");
		m.header.version = (uint16_t)version;
		check(ipc_send(pair[1], &m) == 0, "send", version);
		check(accepted(IPC_FROM_WORKER) == known, "version", version);
		ipc_pack(&m, IPC_FAULTS, 0, "d", text);
		m.header.version = (uint16_t)version;
		check(ipc_send(pair[1], &m) == 0, "send", version);
		check(accepted(IPC_FROM_READER) == (known || version == IPC_VERSION - 2),
		    "version of a reader", version);
		ipc_pack(&m, IPC_PREVIOUS, 0, "dd", text, text);
		m.header.version = (uint16_t)version;
		check(ipc_send(pair[1], &m) == 0, "send", version);
		check(accepted(IPC_FROM_KEEPER) == (known && version >= 3),
		    "type that is newer than its channel", version);
		check(ipc_type_in(IPC_PREVIOUS, version) == (version >= 3), "since", version);
	}
	close(text);
}

static void bodies(void)
{
	struct ipc_message m;
	char to[8];
	uint32_t u;
	double f;

	ipc_pack(&m, IPC_UNHOLD, 0, "s", "name");
	check(ipc_unpack(&m, "s", to, sizeof to), "text", 0);
	check(!ipc_unpack(&m, "s", to, (size_t)4), "text without room for its end", 4);
	check(!ipc_unpack(&m, "su", to, sizeof to, &u), "missing field", 0);
	check(!ipc_unpack(&m, ""), "bytes left over", 0);
	m.body[3] = '\0';
	check(!ipc_unpack(&m, "s", to, sizeof to), "text with a NUL", 0);
	m.body[0] = 0xff;
	check(!ipc_unpack(&m, "s", to, sizeof to), "text longer than the body", 0);
	ipc_pack(&m, IPC_BEAT, 0, "f", 0.0 / 0.0);
	check(!ipc_unpack(&m, "f", &f), "not a number", 0);
}

static void descriptors(void)
{
	int tcp = socket(AF_INET, SOCK_STREAM, 0), text = fd_memfd("check", "x", 1);
	int open_text = memfd_create("check", MFD_ALLOW_SEALING), channel[2], pipes[2];
	int fds[7] = {tcp, text, open_text, -1, -1, -1, -1};
	struct ipc_message m;

	check(listen(tcp, 1) == 0 && ipc_pair(channel) == 0 && pipe(pipes) == 0, "setup", 0);
	fds[3] = channel[0];
	fds[4] = pipes[0];
	fds[5] = open("/dev/null", O_RDWR);
	fds[6] = socket(AF_NETLINK, SOCK_RAW, 0);
	for (unsigned i = 0; i < 7; i++) {
		ipc_pack(&m, IPC_HOLD, 0, "sd", "name", fds[i]);
		check(ipc_send(pair[1], &m) == 0, "send", i);
		check(accepted(IPC_FROM_WORKER) == (i == 0), "held descriptor of this kind", i);
		ipc_pack(&m, IPC_FAULTS, 0, "d", fds[i]);
		check(ipc_send(pair[1], &m) == 0, "send", i);
		check(accepted(IPC_FROM_READER) == (i == 1), "text of this kind", i);
	}
	ipc_pack(&m, IPC_READY, 0, "d", tcp);
	(void)ipc_send(pair[1], &m);
	check(!accepted(IPC_FROM_WORKER), "unwanted descriptor", 0);
	ipc_pack(&m, IPC_HOLD, 0, "s", "name");
	(void)ipc_send(pair[1], &m);
	check(!accepted(IPC_FROM_WORKER), "missing descriptor", 0);
	for (int i = 0; i < 7; i++)
		close(fds[i]);
	close(channel[1]);
	close(pipes[1]);
}

/* More descriptors than there is room for: MSG_CTRUNC, and none of them stays. */
static void flood(void)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int) * 40)];
	} control = {0};
	struct ipc_message m;
	struct iovec iov = {&m, sizeof m.header};
	struct msghdr msg = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = &control,
	    .msg_controllen = sizeof control};

	ipc_pack(&m, IPC_READY, 0, "");
	control.align.cmsg_level = SOL_SOCKET;
	control.align.cmsg_type = SCM_RIGHTS;
	control.align.cmsg_len = CMSG_LEN(sizeof(int) * 40);
	check(sendmsg(pair[1], &msg, 0) > 0, "sendmsg", 40); /* forty times descriptor 0 */
	check(!accepted(IPC_FROM_WORKER), "forty descriptors", 40);
}

int main(void)
{
	int before;

	if (ipc_pair(pair) < 0)
		return 2;
	before = count_fds();
	cut_everywhere();
	flip_header();
	wrong_speaker();
	versions();
	bodies();
	descriptors();
	flood();
	check(count_fds() == before, "descriptors left", (unsigned long)count_fds());
	puts(faults ? "failed" : "all refused as they should be");
	return faults != 0;
}
