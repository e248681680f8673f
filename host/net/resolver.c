#include "net/resolver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct question {
	struct question *next, **link;
	struct resolver *resolver;
	unsigned long id;
	bool started; /* c-ares knows it and will end it; else it waits for the next turn */
	bool over;    /* fn has been called */
	int family, klass, type;
	resolver_addresses_fn *addresses;
	resolver_records_fn *records;
	void *data;
	char name[];
};

struct watcher {
	ev_io io;
	struct watcher *next;
	struct resolver *resolver;
};

struct resolver {
	struct loop *loop;
	ares_channel channel; /* NULL: could not be made anew, tried at the next question */
	struct resolver_opts opts;
	struct watcher *watchers;
	struct question *questions, *waiting, **waiting_tail;
	ev_timer timer, starter;
	struct stat seen; /* of the system's settings */
	unsigned long last_id;
	size_t pending;
	unsigned holds; /* frames on the stack that use this */
	bool dead;
};

static const char settings_file[] = "/etc/resolv.conf";

/* ---- the channel ---- */

static void arm(struct resolver *r)
{
	struct timeval room, *left = r->channel ? ares_timeout(r->channel, NULL, &room) : NULL;

	ev_timer_stop(r->loop->ev, &r->timer);
	if (!left)
		return;
	ev_timer_set(&r->timer,
	    (double)left->tv_sec + (double)left->tv_usec / 1e6 + 0.001 + loop_late(r->loop), 0.0);
	ev_timer_start(r->loop->ev, &r->timer);
}

static void destroy(struct resolver *r)
{
	ares_channel channel = r->channel;

	r->channel = NULL;
	ev_timer_stop(r->loop->ev, &r->timer);
	if (channel) {
		r->holds++;
		ares_destroy(channel); /* tells every question, and takes the watchers away */
		r->holds--;
	}
}

static void end_waiting(struct resolver *r);
static void on_starter(struct ev_loop *ev, ev_timer *w, int events);

static void release(struct resolver *r)
{
	if (!r->dead || r->holds)
		return;
	r->holds++;
	ev_timer_stop(r->loop->ev, &r->starter);
	end_waiting(r);
	destroy(r);
	free((char *)r->opts.servers);
	free((char *)r->opts.search);
	free(r);
}

static void process(struct resolver *r, int readable, int writable)
{
	struct loop *loop = r->loop;

	loop_enter(loop);
	r->holds++;
	ares_process_fd(r->channel, readable, writable);
	r->holds--;
	if (!r->dead)
		arm(r);
	release(r);
	loop_leave(loop);
}

static void on_io(struct ev_loop *ev, ev_io *w, int events)
{
	struct resolver *r = ((struct watcher *)(void *)w)->resolver;
	int fd = w->fd; /* the watcher may go */

	(void)ev;
	process(
	    r, events & EV_READ ? fd : ARES_SOCKET_BAD, events & EV_WRITE ? fd : ARES_SOCKET_BAD);
}

static void on_timer(struct ev_loop *ev, ev_timer *w, int events)
{
	struct resolver *r = (struct resolver *)((char *)w - offsetof(struct resolver, timer));

	(void)ev;
	(void)events;
	process(r, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

/* c-ares says what it waits for; both false: it is about to close the descriptor. */
static void on_state(void *data, ares_socket_t fd, int readable, int writable)
{
	struct resolver *r = data;
	struct watcher **at = &r->watchers, *w;

	while (*at && (*at)->io.fd != fd)
		at = &(*at)->next;
	w = *at;
	if (w)
		ev_io_stop(r->loop->ev, &w->io);
	if (!readable && !writable) {
		if (w) {
			*at = w->next;
			free(w);
		}
		return;
	}
	if (!w) {
		w = calloc(1, sizeof *w);
		if (!w)
			return; /* nobody reads: the question ends by its time */
		w->resolver = r;
		w->next = r->watchers;
		r->watchers = w;
		ev_init(&w->io, on_io);
	}
	ev_io_set(&w->io, fd, (readable ? EV_READ : 0) | (writable ? EV_WRITE : 0));
	ev_io_start(r->loop->ev, &w->io);
}

static int set_search(struct ares_options *o, char *words, char **list, int max)
{
	char *rest = NULL;

	o->ndomains = 0;
	for (char *word = strtok_r(words, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
		if (o->ndomains < max)
			list[o->ndomains++] = word;
	o->domains = list;
	return ARES_OPT_DOMAINS;
}

static int create(struct resolver *r)
{
	enum { DOMAINS = 16 };
	struct ares_options o = {.sock_state_cb = on_state, .sock_state_cb_data = r};
	char *list[DOMAINS], *words = r->opts.search ? strdup(r->opts.search) : NULL;
	int mask = ARES_OPT_SOCK_STATE_CB, status;

	if (words)
		mask |= set_search(&o, words, list, DOMAINS);
	if (r->opts.timeout) {
		o.timeout = (int)r->opts.timeout;
		mask |= ARES_OPT_TIMEOUTMS;
	}
	if (r->opts.tries) {
		o.tries = (int)r->opts.tries;
		mask |= ARES_OPT_TRIES;
	}
	if (r->opts.ndots >= 0) {
		o.ndots = r->opts.ndots;
		mask |= ARES_OPT_NDOTS;
	}
	if (r->opts.never_elsewhere) {
		o.flags = ARES_FLAG_IGNTC;
		mask |= ARES_OPT_FLAGS;
	}
	if (stat(settings_file, &r->seen) < 0)
		memset(&r->seen, 0, sizeof r->seen);
	status = ares_init_options(&r->channel, &o, mask);
	free(words);
	if (status != ARES_SUCCESS) {
		r->channel = NULL;
		return status;
	}
	if (r->opts.servers)
		status = ares_set_servers_ports_csv(r->channel, r->opts.servers);
	if (status != ARES_SUCCESS)
		destroy(r);
	return status;
}

/* Between questions: a machine that moved to another network has other servers. */
static void refresh(struct resolver *r)
{
	struct stat now;

	if (r->channel && r->pending == 1 && stat(settings_file, &now) == 0 &&
	    (now.st_ino != r->seen.st_ino || now.st_mtim.tv_sec != r->seen.st_mtim.tv_sec ||
		now.st_mtim.tv_nsec != r->seen.st_mtim.tv_nsec))
		destroy(r);
	if (!r->channel)
		(void)create(r);
}

static char *copy(const char *text)
{
	return text ? strdup(text) : NULL;
}

struct resolver *resolver_new(struct loop *loop, const struct resolver_opts *opts, int *status)
{
	struct resolver *r = calloc(1, sizeof *r);

	*status = ARES_ENOMEM;
	if (!r)
		return NULL;
	r->loop = loop;
	r->opts = *opts;
	r->opts.servers = copy(opts->servers);
	r->opts.search = copy(opts->search);
	r->waiting_tail = &r->waiting;
	ev_init(&r->timer, on_timer);
	ev_init(&r->starter, on_starter);
	*status = ares_library_init(ARES_LIB_INIT_ALL);
	if (*status == ARES_SUCCESS)
		*status = create(r);
	if (*status == ARES_SUCCESS)
		return r;
	r->dead = true;
	release(r);
	return NULL;
}

/* ---- questions ---- */

static void forget(struct question *q)
{
	*q->link = q->next;
	if (q->next)
		q->next->link = q->link;
	free(q);
}

static void finish(struct question *q, int status, const struct ares_addrinfo *list,
    const unsigned char *answer, size_t length)
{
	if (q->over)
		return;
	q->over = true;
	q->resolver->pending--;
	if (q->addresses)
		q->addresses(q->data, status, list);
	else
		q->records(q->data, status, answer, length);
}

static void on_addresses(void *data, int status, int timeouts, struct ares_addrinfo *list)
{
	struct question *q = data;

	(void)timeouts;
	finish(q, status, list, NULL, 0);
	if (list)
		ares_freeaddrinfo(list);
	forget(q);
}

static void on_records(void *data, int status, int timeouts, unsigned char *answer, int length)
{
	struct question *q = data;

	(void)timeouts;
	finish(q, status, NULL, answer, length > 0 ? (size_t)length : 0);
	forget(q);
}

static void link_in(struct question *q, struct question **at)
{
	q->link = at;
	q->next = *at;
	if (q->next)
		q->next->link = &q->next;
	*at = q;
}

/* The first of those that wait, taken out. */
static struct question *take_waiting(struct resolver *r)
{
	struct question *q = r->waiting;

	if (!q)
		return NULL;
	r->waiting = q->next;
	if (!r->waiting)
		r->waiting_tail = &r->waiting;
	link_in(q, &r->questions);
	return q;
}

static void start(struct resolver *r, struct question *q)
{
	struct ares_addrinfo_hints hints = {
	    .ai_family = q->family, .ai_socktype = SOCK_STREAM, .ai_flags = ARES_AI_ENVHOSTS};

	if (!q->over)
		refresh(r);
	if (q->over || !r->channel) {
		finish(q, ARES_EDESTRUCTION, NULL, NULL, 0);
		forget(q);
		return;
	}
	q->started = true;
	if (q->addresses)
		ares_getaddrinfo(r->channel, q->name, NULL, &hints, on_addresses, q);
	else
		ares_query(r->channel, q->name, q->klass, q->type, on_records, q);
}

static void on_starter(struct ev_loop *ev, ev_timer *w, int events)
{
	struct resolver *r = (struct resolver *)((char *)w - offsetof(struct resolver, starter));
	struct loop *loop = r->loop;
	unsigned long last = r->last_id;

	(void)ev;
	(void)events;
	loop_enter(loop);
	r->holds++;
	while (!r->dead && r->waiting && r->waiting->id <= last)
		start(r, take_waiting(r));
	r->holds--;
	if (!r->dead)
		arm(r);
	release(r);
	loop_leave(loop);
}

static void end_waiting(struct resolver *r)
{
	for (struct question *q = take_waiting(r); q; q = take_waiting(r)) {
		finish(q, ARES_EDESTRUCTION, NULL, NULL, 0);
		forget(q);
	}
}

static struct question *ask(struct resolver *r, const char *name, void *data)
{
	size_t n = strlen(name) + 1;
	struct question *q = r->dead ? NULL : calloc(1, sizeof *q + n);

	if (!q)
		return NULL;
	memcpy(q->name, name, n);
	q->resolver = r;
	q->id = ++r->last_id;
	q->data = data;
	*r->waiting_tail = q;
	r->waiting_tail = &q->next;
	r->pending++;
	if (!ev_is_active(&r->starter)) {
		ev_timer_set(&r->starter, 0.0, 0.0);
		ev_timer_start(r->loop->ev, &r->starter);
	}
	return q;
}

unsigned long resolver_addresses(
    struct resolver *r, const char *name, int family, resolver_addresses_fn *fn, void *data)
{
	struct question *q = ask(r, name, data);

	if (!q)
		return 0;
	q->family = family;
	q->addresses = fn;
	return q->id;
}

unsigned long resolver_records(
    struct resolver *r, const char *name, int klass, int type, resolver_records_fn *fn, void *data)
{
	struct question *q = ask(r, name, data);

	if (!q)
		return 0;
	q->klass = klass;
	q->type = type;
	q->records = fn;
	return q->id;
}

static struct question *find(struct question *q, unsigned long id)
{
	while (q && (q->id != id || q->over))
		q = q->next;
	return q;
}

/* c-ares of Debian 12 cancels all or nothing: a question that it has stays there, untold. */
bool resolver_cancel(struct resolver *r, unsigned long id)
{
	struct question *q = find(r->waiting, id);

	if (!q)
		q = find(r->questions, id);
	if (q)
		finish(q, ARES_ECANCELLED, NULL, NULL, 0);
	return q != NULL;
}

size_t resolver_pending(const struct resolver *r)
{
	return r->pending;
}

void resolver_free(struct resolver **resolver)
{
	struct resolver *r = *resolver;

	*resolver = NULL;
	if (!r || r->dead)
		return;
	r->dead = true;
	release(r);
}
