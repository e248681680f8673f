/* What the keeper holds for this worker: descriptors that came with HELLO or were given to it, by
 * name. Each is waiting to be taken, in use here under a number, or forgotten. */
#include "base/fd.h"
#include "bindings/worker_channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static struct worker_channel *const c = &worker_channel;

int channel_take_held(struct ipc_message *m)
{
	char name[256];
	struct channel_held *list, h = {.fd = ipc_give_fd(m, 0), .used = -1};

	if (!ipc_unpack(m, "s", name, sizeof name)) {
		fd_close(&h.fd);
		errno = EPROTO;
		return -1;
	}
	list = realloc(c->held, (c->nheld + 1) * sizeof *list);
	h.name = list ? strdup(name) : NULL;
	if (list)
		c->held = list;
	if (!h.name) {
		fd_close(&h.fd);
		errno = ENOMEM;
		return -1;
	}
	c->held[c->nheld++] = h;
	return 0;
}

static struct channel_held *find_held(const char *name)
{
	for (size_t i = 0; i < c->nheld; i++)
		if (strcmp(c->held[i].name, name) == 0)
			return &c->held[i];
	return NULL;
}

static void use(struct channel_held *h, int fd)
{
	struct stat st;

	h->claimed = true;
	h->used = fstat(fd, &st) == 0 ? fd : -1;
	if (h->used < 0)
		return;
	h->dev = st.st_dev;
	h->ino = st.st_ino;
}

int channel_held_fd(const struct channel_held *h)
{
	struct stat st;

	if (h->fd >= 0 || h->used < 0)
		return h->fd;
	return fstat(h->used, &st) == 0 && st.st_dev == h->dev && st.st_ino == h->ino ? h->used
										      : -1;
}

int channel_take(const char *name)
{
	struct channel_held *h = find_held(name);
	int fd = h ? h->fd : -1;

	if (h && fd >= 0) {
		h->fd = -1;
		use(h, fd);
	}
	return fd;
}

void channel_claim(const char *name, int fd)
{
	struct channel_held *h = find_held(name);

	if (h) {
		use(h, fd);
		return;
	}
	h = realloc(c->held, (c->nheld + 1) * sizeof *h);
	if (!h)
		return;
	c->held = h;
	h[c->nheld] = (struct channel_held){.name = strdup(name), .fd = -1};
	use(&h[c->nheld], fd);
	if (h[c->nheld].name)
		c->nheld++;
}

void channel_forget(const char *name)
{
	struct channel_held *h = find_held(name);

	if (!h)
		return;
	fd_close(&h->fd);
	free(h->name);
	*h = c->held[--c->nheld];
}
