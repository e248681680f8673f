/* dispatch - what the way of one read to Lua and back to the send costs, without system calls.
 *
 *   dispatch [-l (lines: 16 a read)] [-u (unheard: without onincoming)]
 *            [-n READS of each connection a batch]
 *
 * All of the host but main.c is linked in; `recv` and `send` are those below, which copy 64 bytes
 * and take what they get. 1,000 connections take turns, as in the prototype's measurement
 * (facts/performance.md), so that their memory is not in the nearest cache; TURN of them are
 * readable in a turn of the loop, as at that load they are. Prints one line of JSON: nanoseconds a
 * callback, least and median of 27 batches. The least is the figure to compare: it hardly depends
 * on what else the machine does. A read that is unheard has readiness, receive and deadline; what
 * one costs more that is heard is the way to Lua and back. */
#include "bindings/lua_host.h"
#include "net/conn.h"
#include "net/loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS = 1000, BATCHES = 27, LINES = 16, SIZE = 64, TURN = 64 };

static bool measuring, lines, unheard;
static char message[LINES * SIZE];

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): the header's are reserved */
ssize_t recv(int fd, void *bytes, size_t n, int flags)
{
	size_t size = lines ? sizeof message : SIZE;

	if (!measuring)
		return recvfrom(fd, bytes, n, flags, NULL, NULL);
	size = size < n ? size : n;
	memcpy(bytes, message, size);
	return (ssize_t)size;
}

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): as above */
ssize_t send(int fd, const void *bytes, size_t n, int flags)
{
	return measuring ? (ssize_t)n : sendto(fd, bytes, n, flags, NULL, 0);
}

/* Makes the connections, as a module would have them; their peers are kept open by nobody's
 * closing. */
static char script[] =
    "local net, loop = require 'host.net', require 'host.loop'\n"
    "local echo = {}\n"
    "if arg[2] == 'heard' then function echo.onincoming(conn, data) conn:write(data) end end\n"
    "for i = 3, #arg do\n"
    "	local fd = math.tointeger(arg[i])\n"
    "	assert(net.adopt(fd, echo, { class = 'client', read_size = arg[1] }))\n"
    "end\n"
    "repeat until not loop.run(true)\n";

static bool open_connections(lua_State *L)
{
	static char numbers[CONNECTIONS][12];
	static char command[] = "lua", execute[] = "-e", mode[] = "*a", ears[] = "heard",
		    none[] = "-";
	char *argv[CONNECTIONS + 5] = {command, execute, script, mode, unheard ? none : ears};

	mode[1] = lines ? 'l' : 'a';
	for (int i = 0; i < CONNECTIONS; i++) {
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
			perror("dispatch: socketpair");
			return false;
		}
		snprintf(numbers[i], sizeof numbers[i], "%d", pair[0]);
		argv[5 + i] = numbers[i];
	}
	return lua_host_boot(L, "command", CONNECTIONS + 5, argv) == 0;
}

/* CPU time: what others do meanwhile does not count. */
static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Nanoseconds of one callback. */
static double batch(struct loop *loop, int reads)
{
	double begin = now_ns();

	for (int i = 0; i < reads; i++) {
		int n = 0;

		for (struct conn *c = loop->conns; c; c = c->next) {
			ev_invoke(loop->ev, &c->io, EV_READ);
			if (++n % TURN == 0)
				loop_deliver(loop);
		}
		loop_deliver(loop);
	}
	return (now_ns() - begin) / reads / CONNECTIONS / (lines ? LINES : 1);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
	struct lua_host_info info;
	double found[BATCHES];
	int option, reads = 20;
	size_t open = 0;
	struct loop *loop;
	lua_State *L;

	while ((option = getopt(argc, argv, "lun:")) != -1) {
		if (option == 'l')
			lines = true;
		else if (option == 'u')
			unheard = true;
		else if (option == 'n')
			reads = atoi(optarg);
		else
			return 2;
	}
	for (int i = 0; i < LINES * SIZE; i++)
		message[i] = (char)(i % SIZE == SIZE - 1 ? '\n' : 'a' + i / SIZE);
	if (reads < 1 || lua_host_locate(&info, "command") < 0 || !(L = lua_host_new(&info, 0)) ||
	    !open_connections(L))
		return 1;
	loop = loop_main();
	for (struct conn *c = loop->conns; c; c = c->next)
		open += c->state == CONN_OPEN;
	if (open != CONNECTIONS) {
		fprintf(stderr, "dispatch: %zu connections are open, not %d\n", open, CONNECTIONS);
		return 1;
	}
	measuring = true;
	for (int i = 0; i < BATCHES; i++)
		found[i] = batch(loop, reads);
	qsort(found, BATCHES, sizeof *found, compare);
	printf("{\"what\":\"%s\",\"least_ns\":%.1f,\"median_ns\":%.1f}\n",
	    unheard ? "unheard"
	    : lines ? "line"
		    : "read",
	    found[0], found[BATCHES / 2]);
	return 0;
}
