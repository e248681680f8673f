#include "net/listener_parts.h"

#include "base/fd.h"
#include "base/log.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A handshake that has begun needs this long on one machine; over a network its SYN is repeated by
 * the peer. */
static const double SETTLE = 0.002;

/* ---- keeping newcomers out without losing those who are in ---- */

/* Drops packets that have SYN and not ACK: new connects are repeated by their kernel, begun ones go
 * on. false: some kernels keep filters for root. */
static bool filter_syns(int fd)
{
	struct sock_filter code[] = {
	    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13), /* the TCP flags */
	    BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x12),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x02, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, 0),
	    BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
	};
	struct sock_fprog program = {sizeof code / sizeof code[0], code};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}

/* The same without privilege: a listening socket drops what has come from farther than its least
 * TTL allows, and no packet has 255 left that was sent with the usual 64. A handshake that has
 * begun is looked up before that, and goes on. (No smaller backlog instead: the kernel would answer
 * SYNs with cookies, drop the ACKs, and leave peers that believe they are connected.) */
static void set_least_ttl(int fd, int ttl)
{
	/* a socket of IPv6 serves mapped IPv4 too; on one of IPv4 the second is refused */
	setsockopt(fd, IPPROTO_IP, IP_MINTTL, &ttl, sizeof ttl);
	setsockopt(fd, IPPROTO_IPV6, IPV6_MINHOPCOUNT, &ttl, sizeof ttl);
}

static bool has_least_ttl(int fd)
{
	int ttl = 0;
	socklen_t size = sizeof ttl;

	return getsockopt(fd, IPPROTO_IP, IP_MINTTL, &ttl, &size) == 0 && ttl == 255;
}

/* Whether this kernel lets us attach filters, tried once on a socket of no other use. Those who
 * share a listener run as the same user, so it tells what another one of them does too. */
static bool has_filters(void)
{
	static enum { UNKNOWN, NO, YES } answer;
	int fd;

	if (answer != UNKNOWN)
		return answer == YES;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	answer = filter_syns(fd) ? YES : NO;
	fd_close(&fd);
	return answer == YES;
}

/* Where filters go in general and not this time (no memory), nothing holds anybody back: others who
 * accept here would not look for a least TTL, and what they accepted would be deaf. */
static void hold_back(int fd)
{
	int error;

	if (filter_syns(fd))
		return;
	error = errno;
	if (has_filters())
		return;
	log_debug("no socket filter (%s): the least TTL does its work", strerror(error));
	set_least_ttl(fd, 255);
}

static void let_come(int fd)
{
	int none = 0;

	setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof none);
	if (has_least_ttl(fd))
		set_least_ttl(fd, 0);
}

void listener_free_newcomer(const struct listener *l, int fd)
{
	if (l->tcp && !has_filters() && has_least_ttl(l->io.fd))
		set_least_ttl(fd, 0);
}

static bool path_is_ours(const struct listener *l, const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino;
}

static void aside(const struct listener *l, char *name, size_t size)
{
	snprintf(name, size, "%s.closing", l->path);
}

/* The path is moved, not removed: a move can be taken back. */
static void move_path(const struct listener *l, bool back)
{
	char name[sizeof l->path + 16];

	if (!l->path[0])
		return;
	aside(l, name, sizeof name);
	if (back && path_is_ours(l, name))
		rename(name, l->path);
	else if (!back && path_is_ours(l, l->path))
		rename(l->path, name);
}

static void remove_path(const struct listener *l)
{
	char name[sizeof l->path + 16];

	if (!l->path[0])
		return;
	aside(l, name, sizeof name);
	if (path_is_ours(l, name))
		unlink(name);
	else if (path_is_ours(l, l->path))
		unlink(l->path);
}

/* ---- steps ---- */

static void unlist(struct listener *l)
{
	if (!l->link)
		return;
	*l->link = l->next;
	if (l->next)
		l->next->link = l->link;
	l->link = NULL;
}

void listener_maybe_released(struct listener *l)
{
	if (l->state == LISTENER_CLOSED && l->current == 0 && l->ops)
		l->ops->released(l);
}

/* The keeper's dup keeps the socket in epoll after our close(2): take it out by hand first. */
static void let_go(struct listener *l)
{
	int fd = l->io.fd;

	ev_io_stop(l->loop->ev, &l->io);
	urgent_remove(l->loop, &l->io);
	ev_timer_stop(l->loop->ev, &l->timer);
	loop_forget_fd(l->loop, fd);
	ev_io_set(&l->io, -1, 0);
	unlist(l);
	l->state = LISTENER_CLOSED;
	close(fd);
}

static void closed(struct listener *l)
{
	listener_conn_came(l); /* released comes after closed */
	l->ops->closed(l);
	listener_conn_gone(l);
}

static void finish_close(struct listener *l)
{
	enum { EVERYBODY = 1 << 20 };

	listener_accept(l, EVERYBODY);
	if (l->state == LISTENER_CLOSED) /* by a callback */
		return;
	shutdown(l->io.fd, SHUT_RDWR);
	remove_path(l);
	let_go(l);
	closed(l);
}

void listener_on_timer(struct ev_loop *ev, ev_timer *w, int revents)
{
	struct listener *l = (struct listener *)((char *)w - offsetof(struct listener, timer));
	struct loop *loop = l->loop;

	(void)ev;
	(void)revents;
	loop_enter(loop);
	if (l->state == LISTENER_CLOSING)
		finish_close(l);
	else
		listener_watch(l);
	loop_leave(loop);
}

static void begin_close(struct listener *l)
{
	if (l->tcp)
		hold_back(l->io.fd);
	else
		move_path(l, false);
	l->state = LISTENER_CLOSING;
	listener_watch(l);
	ev_timer_stop(l->loop->ev, &l->timer);
	ev_timer_set(&l->timer, SETTLE + loop_late(l->loop), 0);
	ev_timer_start(l->loop->ev, &l->timer);
}

void listener_close(struct listener *l, bool at_once)
{
	if (l->state < LISTENER_CLOSING)
		begin_close(l);
	if (!at_once || l->state != LISTENER_CLOSING)
		return;
	loop_enter(l->loop);
	finish_close(l);
	loop_leave(l->loop);
}

bool listener_abort(struct listener *l)
{
	if (l->state != LISTENER_CLOSING)
		return l->state != LISTENER_CLOSED;
	ev_timer_stop(l->loop->ev, &l->timer);
	if (l->tcp)
		let_come(l->io.fd);
	else
		move_path(l, true);
	l->state = LISTENER_SHUT;
	listener_gate(l, l->gate_open);
	return true;
}

void listener_leave(struct listener *l)
{
	if (l->state == LISTENER_CLOSED)
		return;
	loop_enter(l->loop);
	let_go(l);
	closed(l);
	loop_leave(l->loop);
}

void listener_fini(struct listener *l)
{
	if (l->state != LISTENER_CLOSED)
		let_go(l);
	l->ops = NULL;
}
