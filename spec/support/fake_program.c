/* A program that is no gadwall, for spec/system/upgrade_failures_spec.lua. As a reader it is the
 * real one (environment FAKE_REAL); as a worker it does what its file's name says. */
#include "proc/ipc.h"

#include <libgen.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CHANNEL = 3 };

static struct ipc_message m, out;
static char path[4096];

static int is(const char *mode)
{
	return strcmp(basename(path), mode) == 0;
}

/* Waits for the keeper's next message of that type; the end of the channel ends us. */
static void wait_for(enum ipc_type type)
{
	struct pollfd p = {.fd = CHANNEL, .events = POLLIN};

	do {
		poll(&p, 1, -1);
		ipc_close_fds(&m);
		if (ipc_recv(CHANNEL, &m, IPC_FROM_KEEPER) <= 0)
			pause();
	} while (m.header.type != type);
}

static void say(enum ipc_type type, uint32_t id, int version)
{
	if (type == IPC_ACK)
		ipc_pack(&out, type, id, "us", 1, "");
	else
		ipc_pack(&out, type, id, "");
	out.header.generation = m.header.generation;
	out.header.worker = m.header.worker;
	out.header.version = (uint16_t)version;
	if (version <= IPC_VERSION)
		ipc_send(CHANNEL, &out);
	else
		send(CHANNEL, &out.header, sizeof out.header, 0);
}

int main(int argc, char *argv[])
{
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);

	if (n < 0 || argc < 2)
		return 2;
	if (strcmp(argv[1], "--role=worker") != 0)
		return execv(getenv("FAKE_REAL"), argv);
	alarm(60);
	if (is("exit0"))
		return 0;
	if (is("exit7"))
		return 7;
	if (is("crash"))
		abort();
	if (is("hang"))
		pause();
	if (is("noise"))
		return send(CHANNEL, "noise", 5, 0) < 0 || pause();
	wait_for(IPC_HELLO);
	if (is("version"))
		say(IPC_READY, 0, IPC_VERSION + 1);
	else
		say(IPC_READY, 0, m.header.version);
	if (is("ready-exit"))
		_exit(0);
	wait_for(IPC_COMMIT);
	if (is("take-exit"))
		_exit(0);
	if (is("take-hang"))
		pause();
	say(IPC_ACK, m.header.id, m.header.version);
	if (is("taken-exit"))
		_exit(0);
	pause();
	return 0;
}
