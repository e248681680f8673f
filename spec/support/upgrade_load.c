/* Clients that count, for spec/support/upgrade.lua: an independent process, one thread, epoll.
 *
 *   upgrade_load HTTP_PORT KEEPERS ECHO_PORT CONNECTORS THINK_MS PAUSE_MS SECONDS
 *
 * KEEPERS keep-alive HTTP connections ask `GET /?N` and want "N GENERATION" back, thinking THINK_MS
 * between; CONNECTORS connect to ECHO_PORT, send "N\n", want it back, close, and connect again
 * after PAUSE_MS. If the ports are the same, these too speak HTTP, with `Connection: close`.
 * SIGUSR1 marks the end of a window (its slowest exchange is a pause), SIGTERM or SECONDS the end.
 *
 * The counting rule: lost = a request sent on a connection on which no
 * `Connection: close` had arrived, not answered in full; the end of a connection without an open
 * request is no loss. A connection that was made and never answered is lost too. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SLOTS = 1024, BUFFER = 2048, GENERATIONS = 8192, WINDOWS = 8192, BUCKETS = 60000 };
#define ANSWER_LIMIT 30.0 /* s */

enum state { IDLE, CONNECTING, ASKED, THINKING };

static struct slot {
	enum state state;
	bool http, hard;
	int fd;
	unsigned long number;
	double began, next;
	size_t have;
	char buffer[BUFFER];
} slots[SLOTS];

static unsigned long requests, connects, refused, reset, lost, late, wrong, other, closes,
    idle_ends;
static unsigned long numbers, histogram[BUCKETS]; /* of 0.1 ms */
static double windows[WINDOWS], worst;
static unsigned nwindows, ngenerations;
static bool seen[GENERATIONS];
static int epoll, http_port, echo_port, think, rest;
static volatile sig_atomic_t ending, marked;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void on_signal(int signo)
{
	if (signo == SIGUSR1)
		marked++;
	else
		ending = 1;
}

static void leave(struct slot *s, double pause)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	s->state = IDLE;
	s->next = now() + pause;
}

static void note(double seconds)
{
	size_t i = (size_t)(seconds * 1e4);

	histogram[i < BUCKETS ? i : BUCKETS - 1]++;
	worst = seconds > worst ? seconds : worst;
}

/* Something ended with this errno (0: end of file). */
static void failed(struct slot *s, int error)
{
	if (s->state == CONNECTING && error == ECONNREFUSED)
		refused++;
	else if (error == ECONNRESET || error == EPIPE)
		reset++;
	else if (error != 0)
		other++;
	if (s->state == ASKED)
		lost++;
	else if (s->state == THINKING)
		idle_ends++;
	leave(s, s->state == CONNECTING ? 0.01 : 0);
}

static bool speaks_http(const struct slot *s)
{
	return s->http || http_port == echo_port;
}

static void ask(struct slot *s)
{
	char text[128];
	int n;

	s->number = ++numbers;
	s->have = 0;
	if (s->state == THINKING)
		s->began = now();
	n = speaks_http(s)
		? snprintf(text, sizeof text, "GET /?%lu HTTP/1.1\r\nHost: localhost\r\n%s\r\n",
		      s->number, s->http ? "" : "Connection: close\r\n")
		: snprintf(text, sizeof text, "%lu\n", s->number);
	s->state = ASKED;
	if (send(s->fd, text, (size_t)n, MSG_NOSIGNAL) != n)
		failed(s, errno);
}

static void open_slot(struct slot *s)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
	    .sin_port = htons((uint16_t)(s->http ? http_port : echo_port)),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = s};
	struct linger hard = {1, 0};
	int on = 1;

	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	s->state = CONNECTING;
	s->began = now();
	s->hard = !s->http && numbers % 8 != 0; /* else the ports would run out in TIME_WAIT */
	setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (s->hard)
		setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
	epoll_ctl(epoll, EPOLL_CTL_ADD, s->fd, &e);
	if (connect(s->fd, (struct sockaddr *)&a, sizeof a) < 0 && errno != EINPROGRESS)
		failed(s, errno);
}

static void answered(struct slot *s, bool close_said)
{
	requests++;
	note(now() - s->began);
	closes += s->http && close_said;
	if (!s->http || close_said) {
		leave(s, s->http ? 0 : rest * 1e-3);
		return;
	}
	s->state = THINKING;
	s->next = now() + think * 1e-3 * (0.5 + (double)rand() / RAND_MAX);
}

static void take_http(struct slot *s)
{
	char *end = memmem(s->buffer, s->have, "\r\n\r\n", 4);
	unsigned long length = 0, number = 0, generation = 0;
	bool close_said = false;

	if (!end)
		return;
	for (char *line = s->buffer; line < end; line = strstr(line, "\r\n") + 2) {
		if (strncasecmp(line, "content-length:", 15) == 0)
			length = strtoul(line + 15, NULL, 10);
		close_said |= strncasecmp(line, "connection: close", 17) == 0;
	}
	if (s->have < (size_t)(end + 4 - s->buffer) + length)
		return;
	if (sscanf(end + 4, "%lu %lu", &number, &generation) != 2 || number != s->number ||
	    s->have != (size_t)(end + 4 - s->buffer) + length)
		wrong++;
	else if (generation < GENERATIONS && !seen[generation])
		ngenerations += seen[generation] = true;
	answered(s, close_said);
}

static void take_echo(struct slot *s)
{
	if (s->buffer[s->have - 1] != '\n')
		return;
	if (strtoul(s->buffer, NULL, 10) != s->number)
		wrong++;
	answered(s, false);
}

static void take(struct slot *s)
{
	while (s->fd >= 0) {
		ssize_t n = recv(s->fd, s->buffer + s->have, BUFFER - 1 - s->have, 0);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			failed(s, n < 0 ? errno : 0);
			return;
		}
		s->have += (size_t)n;
		s->buffer[s->have] = '\0';
		if (s->state != ASKED) {
			wrong++; /* nobody has asked */
			leave(s, 0);
		} else if (speaks_http(s)) {
			take_http(s);
		} else {
			take_echo(s);
		}
	}
}

static void handle(struct slot *s, uint32_t events)
{
	int error = 0;
	socklen_t n = sizeof error;

	if (s->fd < 0)
		return;
	if (s->state == CONNECTING && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) {
		getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &n);
		if (error) {
			failed(s, error);
			return;
		}
		connects++;
		ask(s);
	}
	if (s->state != CONNECTING)
		take(s);
}

/* What is due; returns whether anything is open. */
static bool look(double t)
{
	bool open = false;

	for (struct slot *s = slots; s < slots + SLOTS && s->next >= 0; s++) {
		if (s->state == IDLE && t >= s->next && !ending)
			open_slot(s);
		else if (s->state == THINKING && t >= s->next && !ending)
			ask(s);
		else if ((s->state == ASKED || s->state == CONNECTING) &&
			 t > s->began + ANSWER_LIMIT) {
			late++;
			lost += s->state == ASKED;
			leave(s, 0);
		}
		open |= s->state == ASKED || s->state == CONNECTING;
	}
	return open;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double quantile(double q)
{
	unsigned long sum = 0, total = 0;

	for (int i = 0; i < BUCKETS; i++)
		total += histogram[i];
	for (int i = 0; i < BUCKETS; i++) {
		sum += histogram[i];
		if ((double)sum >= q * (double)total)
			return i / 10.0;
	}
	return 0;
}

static double window(double q)
{
	qsort(windows, nwindows, sizeof *windows, compare);
	return nwindows ? 1000 * windows[(unsigned)(q * (nwindows - 1) + 0.5)] : 0;
}

static void setup(char *argv[])
{
	int keepers = atoi(argv[2]), connectors = atoi(argv[4]);
	struct sigaction act = {.sa_handler = on_signal};

	http_port = atoi(argv[1]);
	echo_port = atoi(argv[3]);
	think = atoi(argv[5]);
	rest = atoi(argv[6]);
	sigaction(SIGUSR1, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	for (int i = 0; i < SLOTS; i++) {
		slots[i].fd = -1;
		slots[i].http = i < keepers;
		slots[i].next = i < keepers + connectors ? 0 : -1;
	}
}

int main(int argc, char *argv[])
{
	static struct epoll_event events[256];
	double begin = now(), last = begin, until;
	int marks = 0;

	if (argc != 8)
		return 2;
	setup(argv);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	until = begin + atof(argv[7]);
	for (bool open = true; open || !ending;) {
		int n = epoll_wait(epoll, events, 256, 1);

		for (int i = 0; i < n; i++)
			handle(events[i].data.ptr, events[i].events);
		for (; marks < marked && nwindows < WINDOWS; marks++, worst = 0)
			windows[nwindows++] = worst;
		last = now();
		ending |= last > until;
		open = look(last);
	}
	printf(
	    "requests=%lu connects=%lu refused=%lu reset=%lu lost=%lu late=%lu wrong=%lu other=%lu "
	    "closes=%lu idle_ends=%lu generations=%u seconds=%.3f p50=%.1f p99=%.1f max=%.1f "
	    "windows=%u pause_p50=%.1f pause_p99=%.1f pause_max=%.1f\n",
	    requests, connects, refused, reset, lost, late, wrong, other, closes, idle_ends,
	    ngenerations, last - begin, quantile(0.5), quantile(0.99), quantile(1), nwindows,
	    window(0.5), window(0.99), window(1));
	return 0;
}
