/* Held descriptors: a dup of each listener under its name, until no generation uses it. */
#include "proc/table.h"

#include <sys/socket.h>
#include <sys/stat.h>

uint32_t held_bit(uint32_t generation)
{
	for (uint32_t i = 0; i < KEEPER_GENERATIONS; i++)
		if (generation && keeper.generations[i].number == generation)
			return 1U << i;
	return 0;
}

bool held_is_kept(const char *name)
{
	return strncmp(name, IPC_KEPT_PREFIX, sizeof IPC_KEPT_PREFIX - 1) == 0;
}

/* The place of that name; without one, a free place; NULL when all are taken. */
static struct held *find(const char *name)
{
	struct held *place = NULL;

	for (struct held *h = keeper.held; h < keeper.held + KEEPER_HELD; h++) {
		if (h->fd >= 0 && strcmp(h->name, name) == 0)
			return h;
		if (h->fd < 0 && !place)
			place = h;
	}
	return place;
}

static bool same_socket(int a, int b)
{
	struct stat sa, sb;

	return fstat(a, &sa) == 0 && fstat(b, &sb) == 0 && sa.st_dev == sb.st_dev &&
	       sa.st_ino == sb.st_ino;
}

/* A name is also a systemd FDNAME: printable, no colon, 1 to 255 bytes. */
static bool is_name(const char *name)
{
	size_t n = strlen(name);

	for (const char *p = name; *p; p++)
		if (*p <= ' ' || *p > '~' || *p == ':')
			return false;
	return n > 0 && n < KEEPER_NAME;
}

/* The same socket under another name, which nobody uses: it came from the service manager. */
static struct held *find_twin(int fd)
{
	for (struct held *h = keeper.held; h < keeper.held + KEEPER_HELD; h++)
		if (h->fd >= 0 && !h->users && same_socket(h->fd, fd))
			return h;
	return NULL;
}

static void name_it(struct held *h, const char *name, uint32_t generation)
{
	memcpy(h->name, name, strlen(name) + 1);
	h->users = held_bit(generation);
	notify_store(name, h->fd);
}

const char *held_take(const char *name, int fd, uint32_t generation)
{
	struct held *h = find(name), *twin = find_twin(fd);

	if (!h || !is_name(name)) {
		close(fd);
		return h ? "not a name" : "1024 are held already";
	}
	if (h->fd >= 0 && same_socket(h->fd, fd)) {
		close(fd);
		h->users |= held_bit(generation);
		return NULL;
	}
	if (twin && h->fd < 0) {
		close(fd);
		if (!generation)
			return NULL; /* passed twice */
		notify_unstore(twin->name);
		name_it(twin, name, generation);
		return NULL;
	}
	if (h->fd >= 0)
		notify_unstore(name);
	fd_close(&h->fd); /* given up and bound anew: the new socket is the one in use */
	h->fd = fd;
	name_it(h, name, generation);
	return NULL;
}

void held_drop(const char *name, uint32_t generation)
{
	for (uint32_t i = 0; i < KEEPER_HELD; i++) {
		struct held *h = &keeper.held[i];

		if (h->fd < 0 || (name && strcmp(h->name, name) != 0))
			continue;
		h->users &= ~held_bit(generation);
		if (h->users)
			continue;
		notify_unstore(h->name);
		fd_close(&h->fd);
	}
}

int held_lend(const char *name, uint32_t generation)
{
	const struct held *h = find(name);

	/* another generation's socket is not what stands in the way of this one's */
	return h && h->fd >= 0 && (h->users & held_bit(generation)) ? h->fd : -1;
}

uint32_t held_offer(uint32_t generation)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < KEEPER_HELD; i++) {
		if (keeper.held[i].fd < 0)
			continue;
		keeper.held[i].users |= held_bit(generation);
		n++;
	}
	return n;
}

int held_bind(uint32_t index)
{
	const union settings_address *a = keeper.settings.addresses;
	int fd, on = 1;

	errno = EINVAL;
	if (index >= keeper.settings.naddresses)
		return -1;
	a += index;
	fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (a->any.sa_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
	if (bind(fd, &a->any, a->any.sa_family == AF_INET ? sizeof a->v4 : sizeof a->v6) < 0)
		fd_close(&fd);
	return fd;
}
