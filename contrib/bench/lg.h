/* lg.h - shared helpers for the load generators: clock, histogram, sockets. */
#ifndef LG_H
#define LG_H
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static inline uint64_t now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

static inline double cpu_s(void)
{
	struct rusage ru;
	getrusage(RUSAGE_SELF, &ru);
	return (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
	       (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6;
}

/* CPU seconds used so far by the processes in "pid,pid,..." (all threads, ns precision). */
static inline double proc_cpu(const char *pids)
{
	double sum = 0;
	while (pids && *pids) {
		char d[64], f[600];
		snprintf(d, sizeof d, "/proc/%d/task", atoi(pids));
		DIR *D = opendir(d);
		for (struct dirent *e; D && (e = readdir(D));) {
			if (e->d_name[0] == '.')
				continue;
			snprintf(f, sizeof f, "%s/%s/schedstat", d, e->d_name);
			FILE *F = fopen(f, "r");
			unsigned long long ns = 0;
			if (F && fscanf(F, "%llu", &ns) == 1)
				sum += ns / 1e9;
			if (F)
				fclose(F);
		}
		if (D)
			closedir(D);
		pids = strchr(pids, ',');
		if (pids)
			pids++;
	}
	return sum;
}

/* Log-linear histogram: 64 sub-buckets per power of two (<1.6% error). */
#define HSUB 6
#define HN   (64 << HSUB)
typedef struct {
	uint64_t n[HN], total, max;
} hist;
static inline unsigned h_idx(uint64_t v)
{
	if (v < (1u << HSUB))
		return (unsigned)v;
	unsigned e = 63 - __builtin_clzll(v);
	return ((e - HSUB + 1) << HSUB) + (unsigned)((v >> (e - HSUB)) & ((1u << HSUB) - 1));
}
static inline uint64_t h_val(unsigned i)
{
	if (i < (1u << HSUB))
		return i;
	unsigned e = (i >> HSUB) + HSUB - 1;
	return (1ull << e) + ((uint64_t)(i & ((1u << HSUB) - 1)) << (e - HSUB));
}
static inline void h_add(hist *h, uint64_t v)
{
	h->n[h_idx(v)]++;
	h->total++;
	if (v > h->max)
		h->max = v;
}
static inline double h_pct_us(const hist *h, double p)
{
	uint64_t want = (uint64_t)(h->total * p / 100.0), seen = 0;
	for (unsigned i = 0; i < HN; i++)
		if ((seen += h->n[i]) > want)
			return h_val(i) / 1e3;
	return h->max / 1e3;
}

static inline void die(const char *what)
{
	perror(what);
	exit(1);
}

static inline struct sockaddr_in lo_addr(int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

static inline int tcp_start(int port)
{ /* non-blocking connect to 127.0.0.1 */
	struct sockaddr_in a = lo_addr(port);
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (connect(fd, (struct sockaddr *)&a, sizeof a) < 0 && errno != EINPROGRESS) {
		int e = errno;
		close(fd);
		errno = e;
		return -1;
	}
	return fd;
}

static inline int tcp_listen(int port, int reuseport)
{
	struct sockaddr_in a = lo_addr(port);
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (reuseport)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
	if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0)
		die("bind");
	if (listen(fd, 4096) < 0)
		die("listen");
	return fd;
}
#endif
