/* churn - connection churn generator, 127.0.0.1 only: connect, (TLS handshake,)
 * one message, wait for the reply, close; -c slots in parallel.
 *
 *   churn -p PORT [-c slots] [-n conns] [-t maxsecs] [-s msgsize] [-R (close with RST)]
 *         [-P serverpid,...] [-T tls, -2 TLS1.2 only] [-H (HTTP GET, Connection: close; until EOF)]
 * [-0 no message]
 *
 * When -t is over what is under way has five seconds to come: "lost" is what never did, "errs" what
 * was cut or refused. Prints one line of JSON; exit 3 if either is not 0. At most 60 s. */
#include "lg.h"

#include <openssl/ssl.h>

typedef struct {
	int fd, st;
	size_t got;
	uint64_t t0;
	SSL *ssl;
} slot;
static int port, nslot = 64, size = 64, rst, tls, http, nomsg, tls12;
static uint64_t nmax = 10000, started, finished, errs;
static double tmax = 10;
static const char *pids;
static int ep;
static char msg[65536], buf[65536];
static size_t msglen;
static hist H;
static SSL_CTX *ctx;

static void start(slot *s)
{
	if (started >= nmax) {
		s->fd = -1;
		return;
	}
	started++;
	s->t0 = now_ns();
	s->got = 0;
	s->st = 0;
	s->fd = tcp_start(port);
	if (s->fd < 0) {
		errs++;
		return;
	}
	if (tls) {
		s->ssl = SSL_new(ctx);
		SSL_set_fd(s->ssl, s->fd);
		SSL_set_connect_state(s->ssl);
	}
	struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = s};
	epoll_ctl(ep, EPOLL_CTL_ADD, s->fd, &ev);
}

static void finish(slot *s, int ok)
{
	if (ok) {
		finished++;
		h_add(&H, now_ns() - s->t0);
	} else
		errs++;
	if (s->ssl) {
		SSL_set_quiet_shutdown(s->ssl, 1);
		SSL_free(s->ssl);
		s->ssl = NULL;
	}
	if (rst) {
		struct linger l = {1, 0};
		setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
	}
	close(s->fd);
	start(s);
}

/* The connection is there, and the message is on its way; 0 if not yet, -1 if it failed. */
static int begin(slot *s, uint32_t ev)
{
	ssize_t k;

	if (!tls && !(ev & EPOLLOUT))
		return ev & (EPOLLERR | EPOLLHUP) ? -1 : 0;
	if (tls) {
		int r = SSL_do_handshake(s->ssl), e = r == 1 ? 0 : SSL_get_error(s->ssl, r);

		if (r != 1)
			return e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE ? 0 : -1;
	}
	s->st = 1;
	if (nomsg)
		return 1;
	k = tls ? SSL_write(s->ssl, msg, (int)msglen) : send(s->fd, msg, msglen, MSG_NOSIGNAL);
	return k == (ssize_t)msglen ? 1 : -1;
}

/* Bytes of the answer, 0 at its end or when it is cut, -1 while there are none. */
static ssize_t receive(slot *s)
{
	ssize_t n;

	if (!tls) {
		n = recv(s->fd, buf, sizeof buf, 0);
		return n < 0 && errno != EAGAIN ? 0 : n;
	}
	n = SSL_read(s->ssl, buf, sizeof buf);
	if (n > 0)
		return n;
	return SSL_get_error(s->ssl, (int)n) == SSL_ERROR_WANT_READ ? -1 : 0;
}

static void step(slot *s, uint32_t ev)
{
	int begun = s->st == 0 ? begin(s, ev) : 1;
	ssize_t n;

	if (begun < 0 || (begun > 0 && nomsg))
		finish(s, begun > 0);
	else if (begun > 0 && (ev & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		while ((n = receive(s)) >= 0) {
			s->got += (size_t)n;
			if (n == 0 || (!http && s->got >= msglen)) {
				finish(s, n > 0 || (http && s->got > 0));
				return;
			}
		}
}

static void take_events(void)
{
	struct epoll_event evs[512];
	int n = epoll_wait(ep, evs, 512, 50);
	for (int i = 0; i < n; i++) {
		slot *s = evs[i].data.ptr;
		if (s->fd >= 0)
			step(s, evs[i].events);
	}
}

static void report(double elapsed, double client, double server, uint64_t measured)
{
	double n = (double)measured;

	printf("{\"msgs\":%llu,\"elapsed\":%.4f,\"rate\":%.0f,\"client_cpu\":%.3f,\"server_cpu\":%."
	       "3f,\"us_per\":%.4f,\"p50\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"errs\":%llu,\"lost\":%"
	       "llu}\n",
	    (unsigned long long)measured, elapsed, n / elapsed, client / elapsed, server / elapsed,
	    measured ? server * 1e6 / n : 0, h_pct_us(&H, 50), h_pct_us(&H, 99), h_pct_us(&H, 99.9),
	    (unsigned long long)errs, (unsigned long long)(started - finished - errs));
}

static int parse(int argc, char **argv)
{
	for (int o; (o = getopt(argc, argv, "p:c:n:t:s:RTH02P:")) != -1;)
		switch (o) {
		case 'p': port = atoi(optarg); break;
		case 'c': nslot = atoi(optarg); break;
		case 'n': nmax = strtoull(optarg, 0, 10); break;
		case 't': tmax = atof(optarg); break;
		case 's': size = atoi(optarg); break;
		case 'R': rst = 1; break;
		case 'T': tls = 1; break;
		case 'P': pids = optarg; break;
		case '2': tls12 = 1; break;
		case 'H': http = 1; break;
		case '0': nomsg = 1; break;
		default: return -1;
		}
	tmax = tmax > 60 ? 60 : tmax;
	return nslot > 0 && size > 0 && size <= (int)sizeof msg ? 0 : -1;
}

static void make_message(void)
{
	if (http) {
		msglen = (size_t)snprintf(msg, sizeof msg,
		    "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
		return;
	}
	msglen = (size_t)size;
	memset(msg, 'x', msglen);
	msg[size - 1] = '\n';
}

int main(int argc, char **argv)
{
	uint64_t begin_ns, end_ns, measured;
	double client, server, elapsed;
	slot *ss;

	if (parse(argc, argv) < 0)
		return 2;
	make_message();
	if (tls) {
		ctx = SSL_CTX_new(TLS_client_method());
		SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
		if (tls12)
			SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
	}
	ep = epoll_create1(0);
	ss = calloc((size_t)nslot, sizeof *ss);
	if (!ss)
		die("calloc");
	begin_ns = now_ns();
	end_ns = begin_ns + (uint64_t)(tmax * 1e9);
	client = cpu_s();
	server = proc_cpu(pids);
	for (int i = 0; i < nslot; i++)
		start(&ss[i]);
	while (finished + errs < nmax && now_ns() < end_ns && errs < 1000)
		take_events();
	elapsed = (double)(now_ns() - begin_ns) / 1e9;
	client = cpu_s() - client;
	server = proc_cpu(pids) - server;
	measured = finished;
	/* What is under way when time is up has five seconds to come; what does not is lost. */
	nmax = started;
	end_ns = now_ns() + 5000000000ull;
	while (finished + errs < started && now_ns() < end_ns)
		take_events();
	report(elapsed, client, server, measured);
	free(ss);
	return errs || finished < started ? 3 : 0;
}
