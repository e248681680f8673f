/* Fuzzes what a hostile worker or reader may say to the keeper, and a keeper to a worker.
 *
 * The input is a row of messages: a byte that says who speaks, how it is damaged and which
 * descriptors come with it, a type, two bytes of length, the body. They go through a real channel;
 * what a worker says goes to the keeper's own handlers, beside a table in which nothing can be
 * started. */
#include "base/fd.h"
#include "base/log.h"
#include "proc/table.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SPARE_PID = 0x7ffffff0 /* beyond pid_max: no process has it */ };
enum { MODE_RAW = 1, MODE_READER = 2, MODE_KEEPER = 4, MODE_FDS = 8 };

static int listener, text, unsealed, pipes[2], channels[2];

static bool be_silent(void *data, enum log_level level, const char *line)
{
	(void)data;
	(void)level;
	(void)line;
	return true;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_sink(be_silent, NULL);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	text = fd_memfd("fuzz", "text", 4);
	unsealed = memfd_create("fuzz", MFD_CLOEXEC);
	if (listener < 0 || listen(listener, 1) < 0 || text < 0 || unsealed < 0 ||
	    pipe2(pipes, O_CLOEXEC) < 0 || ipc_pair(channels) < 0)
		abort();
	return 0;
}

/* A keeper with one worker, four generations (so that no fifth starts) and a reader under way. */
static struct worker *reset_keeper(int channel)
{
	static const struct keeper_opts opts;
	struct worker *w = keeper.workers;

	memset(&keeper, 0, sizeof keeper);
	start_memory(&opts);
	keeper.loaded = keeper.ready = true;
	keeper.state = HOST_SERVING;
	keeper.active = 1;
	keeper.settings.limit_count = 1;
	keeper.settings.max_generations = KEEPER_GENERATIONS;
	keeper.reader.pid = SPARE_PID;
	for (int i = 0; i < KEEPER_GENERATIONS; i++) {
		struct generation *g = &keeper.generations[i];

		g->number = (uint32_t)i + 1;
		g->role = i ? GENERATION_RETIRING : GENERATION_ACTIVE;
		g->settings.workers = 1;
		g->hammer_at = KEEPER_NEVER;
		g->was_ready = true;
	}
	worker_slot_init(w, 1, 1);
	w->state = WORKER_STARTING;
	w->pid = SPARE_PID;
	w->channel = channel;
	w->held_next = KEEPER_HELD;
	return w;
}

static int choose_fd(unsigned i)
{
	const int fds[] = {listener, text, unsealed, pipes[0], channels[0]};

	return fds[i % (sizeof fds / sizeof *fds)];
}

static void say(int channel, uint8_t mode, uint8_t type, const uint8_t *body, size_t size)
{
	static struct ipc_message m;

	if (mode & MODE_RAW) {
		(void)send(channel, body, size, MSG_DONTWAIT | MSG_NOSIGNAL);
		return;
	}
	ipc_pack(&m, (enum ipc_type)type, 7, "");
	m.header.generation = m.header.worker = 1;
	m.header.length = (uint32_t)(size < IPC_BODY_MAX ? size : IPC_BODY_MAX);
	memcpy(m.body, body, m.header.length);
	if (mode & MODE_FDS)
		for (unsigned i = 0; i < (mode >> 4); i++)
			m.fds[m.nfds++] = choose_fd(mode + i);
	(void)ipc_send(channel, &m);
}

static void hear(int channel, enum ipc_from from)
{
	static struct ipc_message m;
	char a[32], b[IPC_TEXT_MAX + 1];
	uint32_t u;
	double f;

	while (ipc_recv(channel, &m, from) > 0) {
		(void)ipc_unpack(&m, "suss", a, sizeof a, &u, a, sizeof a, b, sizeof b);
		(void)ipc_unpack(&m, "ufss", &u, &f, a, sizeof a, b, sizeof b);
		ipc_close_fds(&m);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int pair[2], end;
	struct worker *w;

	if (ipc_pair(pair) < 0)
		return 0;
	w = reset_keeper(pair[0]);
	while (size >= 4 && w->channel >= 0) {
		uint8_t mode = data[0], type = data[1];
		size_t length = ((size_t)data[2] << 8 | data[3]) % 1100;

		data += 4;
		size -= 4;
		length = length < size ? length : size;
		say(pair[1], mode, type, data, length);
		data += length;
		size -= length;
		if (mode & MODE_READER)
			hear(w->channel, IPC_FROM_READER);
		else if (mode & MODE_KEEPER)
			hear(w->channel, IPC_FROM_KEEPER);
		else
			words_readable(w);
	}
	end = w->channel;
	fd_close(&end);
	close(pair[1]);
	for (uint32_t i = 0; i < KEEPER_HELD; i++)
		fd_close(&keeper.held[i].fd);
	return 0;
}
