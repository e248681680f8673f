/* load - load for echo and HTTP servers, 127.0.0.1 only.
 *
 *   load -p PORT [-c conns] [-s msgsize] [-d depth] [-t secs] [-w warmup] [-P serverpid,...]
 *        [-r rate/s (open loop: latency from the intended time of sending)] [-T (TLS)]
 *        [-n ANSWERS (ends after so many)]
 *        [-H PATH (HTTP keep-alive GET) [-B (8 browser headers)]]
 *
 * Closed loop by default: each connection keeps `depth` messages in flight; k answers in one
 * read are followed by one write of k messages. Every byte of an echo is compared with what was
 * sent, every HTTP answer must be 200 with a Content-Length. After the measured time nothing is
 * sent any more and each connection has five seconds to bring what it owes: "lost" are the answers
 * that never came, "errs" those that were wrong. Prints one line of JSON; exit 3 if either is not
 * 0. Bounded: at most 120 s. */
#include "lg.h"

#include <openssl/ssl.h>

typedef struct {
	int fd, outst, head, want_out;
	size_t unsent;  /* bytes of queued messages not yet accepted by the kernel */
	size_t out, in; /* where in the ring of messages sending and answers are */
	size_t part;    /* bytes of an answer that is not whole yet */
	char *keep;     /* HTTP: those bytes */
	SSL *ssl;
	uint64_t *ts;
} conn;

enum { RING = 64, KEEP = 4096 };

static int port, nconn = 64, size = 64, depth = 1, tls;
static const char *http;
static int browser, stopping;
static size_t ring; /* bytes of obuf: different messages one behind the other */
static const char *pids;
static double secs = 2, warm = 0.5, rate;
static uint64_t maxmsgs = UINT64_MAX;
static char *obuf;
static int ep;
static uint64_t done, errs, dropped;
static hist H;

static void arm(conn *c, int out)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET | (out ? EPOLLOUT : 0), .data.ptr = c};
	epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &ev);
	c->want_out = out;
}

static void flush_out(conn *c)
{
	while (c->unsent) {
		size_t off = c->out, n = c->unsent < ring - off ? c->unsent : ring - off;
		ssize_t k;
		if (tls) {
			k = SSL_write(c->ssl, obuf + off, (int)n);
			if (k <= 0)
				k = -1, errno = EAGAIN;
		} else
			k = send(c->fd, obuf + off, n, MSG_NOSIGNAL);
		if (k < 0) {
			if (errno != EAGAIN) {
				errs++;
				c->unsent = 0;
				return;
			}
			if (!c->want_out)
				arm(c, 1);
			return;
		}
		c->unsent -= k;
		c->out = (c->out + k) % ring;
	}
	if (c->want_out)
		arm(c, 0);
}

static void queue_msgs(conn *c, int k, uint64_t t)
{
	for (int i = 0; i < k; i++)
		/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): open_conn sees to it */
		c->ts[(c->head + c->outst++) % depth] = t;
	c->unsent += (size_t)k * size;
	flush_out(c);
}

/* Whole answers in n more bytes of an echo; each byte must be what was sent. */
static int echo_answers(conn *c, const char *buf, size_t n)
{
	for (size_t at = 0; at < n;) {
		size_t k = n - at < ring - c->in ? n - at : ring - c->in;
		if (memcmp(buf + at, obuf + c->in, k) != 0)
			return -1;
		c->in = (c->in + k) % ring;
		at += k;
	}
	int k = (int)((c->part + n) / size);
	c->part = (c->part + n) % size;
	return k;
}

/* Length of the answer at p, 0 while it is not whole, -1 if it is not what is wanted. */
static ssize_t http_length(char *p, size_t n)
{
	char *end = memmem(p, n, "\r\n\r\n", 4), *cl;
	if (!end)
		return 0;
	*end = 0;
	cl = strcasestr(p, "\ncontent-length:");
	int good = !strncmp(p, "HTTP/1.1 200", 12) && cl;
	size_t len = good ? (size_t)(end + 4 - p) + strtoul(cl + 16, NULL, 10) : 0;
	*end = '\r';
	return !good ? -1 : len > n ? 0 : (ssize_t)len;
}

static int http_answers(conn *c, char *buf, size_t n)
{
	int k = 0;
	if (c->part) {
		if (c->part + n > KEEP)
			return -1;
		memcpy(c->keep + c->part, buf, n);
		buf = c->keep;
		n += c->part;
	}
	ssize_t len = 0;
	for (; n && (len = http_length(buf, n)) > 0; k++)
		buf += len, n -= len;
	if (len < 0 || n > KEEP)
		return -1;
	if (n && !c->keep)
		c->keep = malloc(KEEP + 1);
	if (n)
		memmove(c->keep, buf, n);
	c->part = n;
	return k;
}

static void fail(conn *c)
{
	errs++;
	close(c->fd);
	c->fd = -1;
}

static void answered(conn *c, int k)
{
	uint64_t t = now_ns();
	for (int i = 0; i < k; i++) {
		h_add(&H, t - c->ts[c->head]);
		c->head = (c->head + 1) % depth;
	}
	c->outst -= k;
	done += k;
	if (!rate && k && !stopping)
		queue_msgs(c, k, t);
}

static ssize_t receive(conn *c, char *buf, size_t size_max)
{
	ssize_t n = tls ? SSL_read(c->ssl, buf, (int)size_max) : recv(c->fd, buf, size_max, 0);
	if (n > 0 || (!tls && n == 0))
		return n;
	int e = tls ? SSL_get_error(c->ssl, (int)n) : 0;
	if (tls ? e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE : errno == EAGAIN)
		return -1;
	return 0;
}

static void on_read(conn *c)
{
	static char buf[262144 + 1];
	for (;;) {
		ssize_t n = receive(c, buf, sizeof buf - 1);
		if (n < 0)
			return;
		int k = n == 0 ? -1 : http ? http_answers(c, buf, n) : echo_answers(c, buf, n);
		if (k < 0 || k > c->outst) {
			fail(c);
			return;
		}
		answered(c, k);
		if (!tls && n < (ssize_t)sizeof buf - 1)
			return; /* drained; edge-triggered */
	}
}

static const char *const browser_headers =
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
    "Accept-Language: en-US,en;q=0.5\r\n"
    "Accept-Encoding: gzip, deflate\r\n"
    "Cookie: sid=0123456789abcdef0123456789abcdef\r\n"
    "Cache-Control: no-cache\r\n"
    "Referer: http://127.0.0.1/\r\n";

/* Fills obuf: HTTP, the same request again and again; else messages that all differ. */
static void make_messages(void)
{
	char request[2048];
	if (http)
		size = snprintf(request, sizeof request,
		    "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n", http,
		    browser ? browser_headers : "");
	int count = depth * 2 > RING ? depth * 2 : RING;
	ring = (size_t)size * count;
	obuf = malloc(ring + 1);
	for (int m = 0; m < count; m++) {
		char *p = obuf + (size_t)m * size, number[16];
		if (http) {
			memcpy(p, request, size);
			continue;
		}
		for (int i = 0; i < size; i++)
			p[i] = (char)(i == size - 1 ? '\n' : 'a' + (i + m) % 26);
		int k = snprintf(number, sizeof number, "%d", m);
		if (k < size - 1)
			memcpy(p, number, k);
	}
}

static void take_events(int timeout_ms)
{
	struct epoll_event evs[1024];
	int n = epoll_wait(ep, evs, 1024, timeout_ms);
	for (int i = 0; i < n; i++) {
		conn *c = evs[i].data.ptr;
		if (c->fd < 0)
			continue;
		if (evs[i].events & EPOLLOUT)
			flush_out(c);
		if (c->fd >= 0 && evs[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
			on_read(c);
	}
}

/* After the measured time: whatever is owed has five seconds to come. */
static uint64_t collect(const conn *cs)
{
	uint64_t lost, end = now_ns() + 5000000000ull;
	stopping = 1;
	do {
		take_events(20);
		lost = 0;
		for (int i = 0; i < nconn; i++)
			if (cs[i].fd >= 0)
				lost += cs[i].outst;
	} while (lost && now_ns() < end);
	return lost;
}

/* Connects while blocking, then is non-blocking. */
static void open_conn(conn *c, SSL_CTX *ctx)
{
	struct sockaddr_in a = lo_addr(port);
	struct timeval limit = {10, 0};
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.ptr = c};
	int one = 1;

	c->ts = calloc((size_t)depth, sizeof *c->ts);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (!c->ts || c->fd < 0)
		die("socket");
	setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	if (connect(c->fd, (struct sockaddr *)&a, sizeof a) < 0)
		die("connect");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (ctx) {
		c->ssl = SSL_new(ctx);
		SSL_set_fd(c->ssl, c->fd);
		if (SSL_connect(c->ssl) != 1)
			die("SSL_connect");
	}
	fcntl(c->fd, F_SETFL, O_NONBLOCK);
	epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev);
}

static conn *open_all(void)
{
	conn *cs = calloc((size_t)nconn, sizeof *cs);
	SSL_CTX *ctx = tls ? SSL_CTX_new(TLS_client_method()) : NULL;

	if (!cs)
		die("calloc");
	if (ctx)
		SSL_CTX_set_mode(
		    ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	for (int i = 0; i < nconn; i++)
		open_conn(&cs[i], ctx);
	return cs;
}

/* Open loop: sends what is due at t, whether or not the answers have come. */
static void send_due(conn *cs, uint64_t t)
{
	static double next;
	static int turn;

	if (next == 0)
		next = (double)t;
	while (next <= (double)t) {
		conn *c = &cs[turn++ % nconn];

		next += 1e9 / rate;
		if (c->fd >= 0 && c->outst < depth)
			queue_msgs(c, 1, (uint64_t)(next - 1e9 / rate));
		else
			dropped++;
	}
}

/* What the measured time took, in seconds: all of it, on the core by us and by the server. */
struct taken {
	double elapsed, client, server;
};

static void begin(struct taken *t)
{
	done = 0;
	memset(&H, 0, sizeof H);
	t->client = cpu_s();
	t->server = proc_cpu(pids);
}

/* Warms up, then measures until the time is over or so many answers have come. */
static struct taken measure(conn *cs)
{
	struct taken taken;
	uint64_t t = now_ns(), from = t + (uint64_t)(warm * 1e9), until = UINT64_MAX;
	int measuring = 0;

	begin(&taken);
	while (t < until && (!measuring || done < maxmsgs)) {
		if (!measuring && t >= from) {
			measuring = 1;
			begin(&taken);
			from = now_ns();
			until = from + (uint64_t)(secs * 1e9);
		}
		if (rate)
			send_due(cs, t);
		take_events(rate ? 0 : 20);
		t = now_ns();
	}
	taken.elapsed = (double)(t - from) / 1e9;
	taken.client = cpu_s() - taken.client;
	taken.server = proc_cpu(pids) - taken.server;
	return taken;
}

static void report(const struct taken *t, uint64_t measured, uint64_t lost)
{
	double n = (double)measured;

	printf("{\"msgs\":%llu,\"elapsed\":%.4f,\"rate\":%.0f,\"client_cpu\":%.3f,\"server_cpu\":%."
	       "3f,\"us_per\":%.4f,\"p50\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f,"
	       "\"errs\":%llu,\"lost\":%llu,\"dropped\":%llu}\n",
	    (unsigned long long)measured, t->elapsed, n / t->elapsed, t->client / t->elapsed,
	    t->server / t->elapsed, measured ? t->server * 1e6 / n : 0, h_pct_us(&H, 50),
	    h_pct_us(&H, 99), h_pct_us(&H, 99.9), (double)H.max / 1e3, (unsigned long long)errs,
	    (unsigned long long)lost, (unsigned long long)dropped);
}

static int parse(int argc, char **argv)
{
	for (int o; (o = getopt(argc, argv, "p:c:s:d:t:w:r:n:TP:H:B")) != -1;)
		switch (o) {
		case 'p': port = atoi(optarg); break;
		case 'c': nconn = atoi(optarg); break;
		case 's': size = atoi(optarg); break;
		case 'd': depth = atoi(optarg); break;
		case 't': secs = atof(optarg); break;
		case 'w': warm = atof(optarg); break;
		case 'H': http = optarg; break;
		case 'n': maxmsgs = strtoull(optarg, 0, 10); break;
		case 'B': browser = 1; break;
		case 'r': rate = atof(optarg); break;
		case 'T': tls = 1; break;
		case 'P': pids = optarg; break;
		default: return -1;
		}
	secs = secs > 120 ? 120 : secs;
	return nconn > 0 && depth > 0 && size > 0 ? 0 : -1;
}

int main(int argc, char **argv)
{
	struct taken taken;
	uint64_t measured, lost;
	int in_flight;
	conn *cs;

	if (parse(argc, argv) < 0)
		return 2;
	in_flight = depth;
	if (rate && depth < 256)
		depth = 256; /* ring for the open loop */
	make_messages();
	ep = epoll_create1(0);
	cs = open_all();
	if (!rate)
		for (int i = 0; i < nconn; i++)
			queue_msgs(&cs[i], in_flight, now_ns());
	taken = measure(cs);
	measured = done;
	lost = collect(cs);
	report(&taken, measured, lost);
	free(cs);
	return errs || lost ? 3 : 0;
}
