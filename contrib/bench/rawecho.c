/* rawecho - C echo servers used as the physical limit, 127.0.0.1 only.
 *   rawecho -p PORT [-b epoll|epollet|ev|ev-linuxaio|ev-iouring|ev-poll] [-R reuseport]
 *           [-D drain until EAGAIN] [-T cert.pem (TLS, ev only)] [-l lifetime secs]
 *           [-H each read is one HTTP request, answered with a constant: no parser, the floor]
 *           [-L N loses every Nth answer, to check the load generators: -s message size] */
#include "lg.h"

#include <ev.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>

static int port, reuse, drain, et, http, lose, size = 64;
static char buf[65536];
static SSL_CTX *ctx;

typedef struct {
	ev_io io;
	char *pend;
	size_t plen;
	SSL *ssl;
	int hs;
} cn;

static ssize_t answer_http(void)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
				     "Content-Length: 12\r\n\r\nhello world\n";
	memcpy(buf, answer, sizeof answer - 1);
	return sizeof answer - 1;
}

/* Takes every Nth of the answers in buf out; over HTTP buf is one answer. */
static ssize_t lose_some(ssize_t n)
{
	static unsigned count;
	ssize_t each = http ? n : size, kept = 0;
	for (ssize_t at = 0; at < n; at += each) {
		ssize_t k = n - at < each ? n - at : each;
		if (++count % lose == 0)
			continue;
		memmove(buf + kept, buf + at, k);
		kept += k;
	}
	return kept;
}

/* ---- raw epoll ---- */
static int echo_once(int fd)
{ /* 1 more, 0 drained, -1 gone */
	ssize_t n = recv(fd, buf, sizeof buf, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return -1;
	int whole = n < (ssize_t)sizeof buf;
	if (http)
		n = answer_http();
	if (lose)
		n = lose_some(n);
	for (ssize_t o = 0; o < n;) { /* raw limit: spin on EAGAIN (never at these sizes) */
		ssize_t k = send(fd, buf + o, n - o, MSG_NOSIGNAL);
		if (k < 0) {
			if (errno == EAGAIN)
				continue;
			return -1;
		}
		o += k;
	}
	return !whole;
}
static void accept_epoll(int ep, int lfd)
{
	int c, one = 1;
	while ((c = accept4(lfd, 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		struct epoll_event e = {.events = EPOLLIN | (et ? EPOLLET : 0), .data.fd = c};
		epoll_ctl(ep, EPOLL_CTL_ADD, c, &e);
	}
}
static void read_epoll(int fd)
{
	int r;
	do
		r = echo_once(fd);
	while (r == 1 || (drain && r == 0 && errno != EAGAIN));
	if (r < 0)
		close(fd);
}
static void run_epoll(int lfd)
{
	int ep = epoll_create1(0);
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = lfd}, evs[512];
	epoll_ctl(ep, EPOLL_CTL_ADD, lfd, &ev);
	for (;;) {
		int n = epoll_wait(ep, evs, 512, -1);
		for (int i = 0; i < n; i++) {
			if (evs[i].data.fd == lfd)
				accept_epoll(ep, lfd);
			else
				read_epoll(evs[i].data.fd);
		}
	}
}

/* ---- libev ---- */
static void cn_free(struct ev_loop *l, cn *c)
{
	ev_io_stop(l, &c->io);
	if (c->ssl)
		SSL_free(c->ssl);
	close(c->io.fd);
	free(c);
}
static void on_io(struct ev_loop *l, ev_io *w, int re)
{
	(void)re;
	int r;
	errno = 0;
	do {
		errno = 0;
		r = echo_once(w->fd);
	} while (r == 1 || (drain && r == 0 && errno != EAGAIN));
	if (r < 0)
		cn_free(l, (cn *)w);
}
static void on_tls(struct ev_loop *l, ev_io *w, int re)
{
	(void)re;
	cn *c = (cn *)w;
	ERR_clear_error();
	if (!c->hs) {
		int r = SSL_accept(c->ssl);
		if (r != 1) {
			int e = SSL_get_error(c->ssl, r);
			if (e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE)
				cn_free(l, c);
			return;
		}
		c->hs = 1;
	}
	for (;;) {
		int n = SSL_read(c->ssl, buf, sizeof buf);
		if (n <= 0) {
			int e = SSL_get_error(c->ssl, n);
			if (e != SSL_ERROR_WANT_READ)
				cn_free(l, c);
			return;
		}
		if (http)
			n = (int)answer_http();
		if (SSL_write(c->ssl, buf, n) != n) {
			cn_free(l, c);
			return;
		}
		if (!SSL_has_pending(c->ssl))
			return;
	}
}
static void on_acc(struct ev_loop *l, ev_io *w, int re)
{
	(void)re;
	int c, one = 1;
	while ((c = accept4(w->fd, 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		cn *n = calloc(1, sizeof *n);
		ev_io_init(&n->io, ctx ? on_tls : on_io, c, EV_READ);
		if (ctx) {
			n->ssl = SSL_new(ctx);
			SSL_set_fd(n->ssl, c);
		}
		ev_io_start(l, &n->io);
	}
}

int main(int argc, char **argv)
{
	const char *b = "ev", *pem = NULL;
	int life = 3600;
	for (int o; (o = getopt(argc, argv, "p:b:RDT:l:HL:s:")) != -1;)
		switch (o) {
		case 'p': port = atoi(optarg); break;
		case 'b': b = optarg; break;
		case 'H': http = 1; break;
		case 'L': lose = atoi(optarg); break;
		case 's': size = atoi(optarg); break;
		case 'R': reuse = 1; break;
		case 'D': drain = 1; break;
		case 'T': pem = optarg; break;
		case 'l': life = atoi(optarg); break;
		default: return 2;
		}
	signal(SIGPIPE, SIG_IGN);
	alarm(life);
	int lfd = tcp_listen(port, reuse);
	et = !strcmp(b, "epollet");
	if (!strncmp(b, "epoll", 5))
		run_epoll(lfd);
	if (pem) {
		ctx = SSL_CTX_new(TLS_server_method());
		if (SSL_CTX_use_certificate_chain_file(ctx, pem) != 1 ||
		    SSL_CTX_use_PrivateKey_file(ctx, pem, SSL_FILETYPE_PEM) != 1)
			die("cert");
		SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
		SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	}
	unsigned fl = strstr(b, "linuxaio")  ? EVBACKEND_LINUXAIO
		      : strstr(b, "iouring") ? EVBACKEND_IOURING
		      : strstr(b, "poll")    ? EVBACKEND_POLL
					     : EVBACKEND_EPOLL;
	struct ev_loop *l = ev_default_loop(fl);
	if (!l) {
		fprintf(stderr, "no loop for %s\n", b);
		return 1;
	}
	ev_io a;
	ev_io_init(&a, on_acc, lfd, EV_READ);
	ev_io_start(l, &a);
	ev_run(l, 0);
	return 0;
}
