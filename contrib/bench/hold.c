/* hold - many connections that do nothing, 127.0.0.1 only.
 *
 *   hold -p PORT [-c conns] [-m bytes of one echo on each] [-H PATH (one keep-alive GET on each)]
 *        [-T (TLS)] [-t secs (60, at most 300)] [-g TEXT (watches how they end)]
 *
 * Opens them one after the other, prints "ready SECONDS", and holds them until stdin closes or the
 * time is over. With -g it looks at every connection meanwhile, ends when the last has ended, and
 * prints one line of JSON: how many ended, how many of them had not got exactly TEXT as goodbye,
 * how many were reset, and the seconds from the first end to the last. Exit 1 if one cannot be
 * opened. */
#include "lg.h"

#include <openssl/ssl.h>
#include <poll.h>
#include <stdbool.h>

struct held {
	int fd;
	bool wrong;     /* something came that is not the goodbye */
	size_t goodbye; /* bytes of it that have come */
};

static struct {
	int ended, untold, reset, left;
	uint64_t first, last; /* ns, of the ends */
} seen;

static int port, message;
static const char *http, *goodbye;
static SSL_CTX *tls;
static char buf[65536];

static ssize_t give(int fd, SSL *ssl, const char *bytes, size_t n)
{
	return ssl ? SSL_write(ssl, bytes, (int)n) : send(fd, bytes, n, MSG_NOSIGNAL);
}

static ssize_t take(int fd, SSL *ssl, char *to, size_t n)
{
	return ssl ? SSL_read(ssl, to, (int)n) : recv(fd, to, n, 0);
}

/* One GET, and its answer up to the words that all servers of the benchmark end it with. */
static void ask(int fd, SSL *ssl)
{
	static const char end[] = "world\n";
	size_t have = 0;
	char request[256];
	int n =
	    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", http);

	if (give(fd, ssl, request, (size_t)n) != n)
		die("send");
	while (!memmem(buf, have, end, sizeof end - 1)) {
		ssize_t k = take(fd, ssl, buf + have, sizeof buf - have);

		if (k <= 0)
			die("answer");
		have += (size_t)k;
	}
}

static void echo(int fd, SSL *ssl)
{
	memset(buf, 'x', (size_t)message);
	buf[message - 1] = '\n';
	if (give(fd, ssl, buf, (size_t)message) != message)
		die("send");
	for (ssize_t have = 0; have < message;) {
		ssize_t k = take(fd, ssl, buf, sizeof buf);

		if (k <= 0)
			die("echo");
		have += k;
	}
}

static int open_one(void)
{
	struct sockaddr_in a = lo_addr(port);
	struct timeval limit = {10, 0};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	SSL *ssl = NULL;

	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	if (connect(fd, (struct sockaddr *)&a, sizeof a) < 0)
		die("connect");
	if (tls) {
		ssl = SSL_new(tls);
		SSL_set_fd(ssl, fd);
		if (SSL_connect(ssl) != 1)
			die("SSL_connect");
	}
	if (http)
		ask(fd, ssl);
	else if (message)
		echo(fd, ssl);
	return fd;
}

static void ended(struct held *h, bool reset)
{
	seen.last = now_ns();
	if (seen.ended++ == 0)
		seen.first = seen.last;
	seen.untold += h->wrong || h->goodbye != strlen(goodbye);
	seen.reset += reset;
	seen.left--;
	close(h->fd);
	h->fd = -1;
}

static void look(struct held *h)
{
	size_t want = strlen(goodbye);
	ssize_t n;

	while ((n = recv(h->fd, buf, sizeof buf, MSG_DONTWAIT)) > 0) {
		size_t k = (size_t)n;

		h->wrong |= h->goodbye + k > want || memcmp(buf, goodbye + h->goodbye, k) != 0;
		h->goodbye += k;
	}
	if (n == 0 || (errno != EAGAIN && errno != EINTR))
		ended(h, n < 0);
}

/* Until all have ended, stdin closes or the time is over. */
static void watch(struct held *all, int count, uint64_t until)
{
	struct epoll_event evs[256], e = {.events = EPOLLIN};
	int ep = epoll_create1(EPOLL_CLOEXEC);

	epoll_ctl(ep, EPOLL_CTL_ADD, STDIN_FILENO, &e);
	for (int i = 0; i < count; i++) {
		e.data.ptr = &all[i];
		epoll_ctl(ep, EPOLL_CTL_ADD, all[i].fd, &e);
	}
	seen.left = count;
	while (seen.left && now_ns() < until) {
		int n = epoll_wait(ep, evs, 256, 100);

		for (int i = 0; i < n; i++) {
			if (!evs[i].data.ptr)
				return;
			look(evs[i].data.ptr);
		}
	}
}

static void report(double cpu)
{
	printf("{\"ended\":%d,\"left\":%d,\"untold\":%d,\"reset\":%d,\"seconds\":%.4f,"
	       "\"client_cpu\":%.4f}\n",
	    seen.ended, seen.left, seen.untold, seen.reset, (double)(seen.last - seen.first) / 1e9,
	    cpu);
}

int main(int argc, char **argv)
{
	int count = 10000;
	double seconds = 60, cpu;
	uint64_t begin = now_ns(), until;
	struct held *all;

	for (int o; (o = getopt(argc, argv, "p:c:m:t:TH:g:")) != -1;)
		switch (o) {
		case 'p': port = atoi(optarg); break;
		case 'c': count = atoi(optarg); break;
		case 'm': message = atoi(optarg); break;
		case 't': seconds = atof(optarg); break;
		case 'T': tls = SSL_CTX_new(TLS_client_method()); break;
		case 'H': http = optarg; break;
		case 'g': goodbye = optarg; break;
		default: return 2;
		}
	if (count < 1 || message < 0 || message > (int)sizeof buf || (goodbye && (tls || http)))
		return 2;
	until = begin + (uint64_t)((seconds < 300 ? seconds : 300) * 1e9);
	all = calloc((size_t)count, sizeof *all);
	if (!all)
		die("calloc");
	for (int i = 0; i < count; i++)
		all[i].fd = open_one();
	printf("ready %.3f\n", (double)(now_ns() - begin) / 1e9);
	fflush(stdout);
	cpu = cpu_s();
	if (goodbye) {
		watch(all, count, until);
		report(cpu_s() - cpu);
	} else {
		struct pollfd p = {STDIN_FILENO, POLLIN, 0};

		poll(&p, 1, (int)(seconds * 1000));
	}
	free(all);
	return 0;
}
