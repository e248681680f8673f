/* The keeper's memory and descriptors, for the binary that comes after this one.
 *
 *   header    magic, version, version of the channels, number of sections, checksum of all that
 *             follows
 *   section   name, size of an element, how many; their bytes
 *
 * One walk writes and reads. Descriptors keep their numbers, so the memory is sent as it is, with
 * no pointer in it. Who changes a struct of table.h raises CARRY_VERSION: another size is refused,
 * another meaning is not seen. Only settings may grow (settings.h has the rule): a reader that
 * knows fewer of their fields writes zeros for the rest, and the trial finds that out. */
#include "proc/table.h"

#include <sys/stat.h>

enum { CARRY_MAGIC = 0x4b574447 /* "GDWK" */, CARRY_VERSION = 1, CARRY_NAME = 16 };

struct header {
	uint32_t magic;
	uint16_t version, channels; /* IPC_VERSION: workers speak that or the one before */
	uint32_t nsections, unused;
	uint64_t sum;
};

struct section_head {
	char name[CARRY_NAME];
	uint32_t size, count;
};

struct section {
	const char *name;
	void *at;
	size_t stride, size;
	uint32_t count;
	bool grows;
};

/* A part of `keeper` from one member up to another one. */
#define RANGE(from, to) offsetof(struct keeper, to) - offsetof(struct keeper, from)
#define PART(name, from, to)                                                                       \
	{                                                                                          \
		name, &keeper.from, RANGE(from, to), RANGE(from, to), 1, false                     \
	}
#define ARRAY(name, member)                                                                        \
	{                                                                                          \
		name, keeper.member, sizeof *keeper.member, sizeof *keeper.member,                 \
		    sizeof keeper.member / sizeof *keeper.member, false                            \
	}

static const struct section sections[] = {
    {"settings", &keeper.settings, sizeof keeper.settings, sizeof keeper.settings, 1, true},
    PART("host", state, generations),
    {"generations", keeper.generations, sizeof *keeper.generations,
	offsetof(struct generation, settings), KEEPER_GENERATIONS, false},
    {"gen-settings", &keeper.generations->settings, sizeof *keeper.generations,
	sizeof keeper.generations->settings, KEEPER_GENERATIONS, true},
    PART("upgrade", active, workers),
    ARRAY("workers", workers),
    ARRAY("held", held),
    ARRAY("children", children),
    PART("rest", pending, carried_to_here),
};

enum { SECTIONS = sizeof sections / sizeof *sections };

/* Bytes of an element, and channels, as the state that was read has them; 0: as we have them. */
static uint32_t shapes[SECTIONS];
static uint16_t shape_channels;

/* ---- bytes ---- */

struct stream {
	int fd;
	bool writes, bad;
	uint64_t sum;
};

/* FNV-1a by words of 8 bytes: against a cut or mixed up state, not against an enemy. */
static void add(struct stream *s, const unsigned char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i += 8) {
		uint64_t word = 0;

		memcpy(&word, bytes + i, n - i < 8 ? n - i : 8);
		s->sum = (s->sum ^ word) * 0x100000001b3ULL;
		s->sum ^= s->sum >> 29;
	}
}

static void pass(struct stream *s, void *bytes, size_t n)
{
	unsigned char *p = bytes;

	for (size_t done = 0; done < n && !s->bad;) {
		ssize_t k =
		    s->writes ? write(s->fd, p + done, n - done) : read(s->fd, p + done, n - done);

		if (k == 0)
			errno = EIO;
		if (k <= 0 && errno != EINTR)
			s->bad = true;
		done += k > 0 ? (size_t)k : 0;
	}
	if (!s->bad)
		add(s, p, n);
}

/* What an element of another version has beyond ours: zeros when written, lost when read. */
static void pass_rest(struct stream *s, size_t n)
{
	unsigned char none[64];

	while (n > 0 && !s->bad) {
		size_t k = n < sizeof none ? n : sizeof none;

		memset(none, 0, sizeof none);
		pass(s, none, k);
		n -= k;
	}
}

/* ---- sections ---- */

static bool knows(const struct section *c, const struct section_head *head)
{
	return strncmp(head->name, c->name, sizeof head->name) == 0 && head->count == c->count &&
	       (c->grows ? head->size > 0 && head->size <= SETTINGS_SIZE_MAX
			 : head->size == c->size);
}

static void pass_section(struct stream *s, const struct section *c)
{
	uint32_t *shape = &shapes[c - sections];
	struct section_head head = {.size = *shape ? *shape : (uint32_t)c->size, .count = c->count};
	size_t n;

	memcpy(head.name, c->name, strlen(c->name));
	pass(s, &head, sizeof head);
	if (s->bad || !knows(c, &head)) {
		s->bad = true;
		return;
	}
	if (!s->writes)
		*shape = head.size;
	n = head.size < c->size ? head.size : c->size;
	for (uint32_t i = 0; i < c->count; i++) {
		pass(s, (char *)c->at + i * c->stride, n);
		pass_rest(s, head.size - n);
	}
}

static const struct header *our_header(void)
{
	static struct header h;

	h = (struct header){.magic = CARRY_MAGIC,
	    .version = CARRY_VERSION,
	    .channels = shape_channels ? shape_channels : IPC_VERSION,
	    .nsections = SECTIONS};
	return &h;
}

int carry_write(int fd)
{
	struct stream s = {.fd = fd, .writes = true};
	struct header h = *our_header();

	if (lseek(fd, sizeof h, SEEK_SET) < 0)
		return -1;
	for (int i = 0; i < SECTIONS; i++)
		pass_section(&s, &sections[i]);
	h.sum = s.sum;
	return s.bad || pwrite(fd, &h, sizeof h, 0) != (ssize_t)sizeof h ? -1 : 0;
}

/* ---- descriptors ---- */

/* Kinds that no message has. */
enum { KIND_FOLDER = 100, KIND_FILE, KIND_SOCKET };

static bool is_kind(int fd, int kind)
{
	struct stat st;

	if (kind < KIND_FOLDER)
		return ipc_fd_is(fd, (enum ipc_fd_kind)kind);
	if (fstat(fd, &st) < 0)
		return false;
	return kind == KIND_FOLDER ? S_ISDIR(st.st_mode)
	       : kind == KIND_FILE ? S_ISREG(st.st_mode)
				   : S_ISSOCK(st.st_mode);
}

/* What is done with each; returns false to end the walk. */
typedef bool visit_fn(int fd, int kind);

static bool visit_parts(const struct generation_parts *parts, visit_fn *visit)
{
	return visit(parts->binary, IPC_FD_PROGRAM) && visit(parts->settings, IPC_FD_TEXT) &&
	       visit(parts->bundle, IPC_FD_TEXT);
}

static bool visit_singles(visit_fn *visit)
{
	const struct attach *a = &keeper.attach;

	return visit(keeper.dir, KIND_FOLDER) && visit(keeper.lock, KIND_FILE) &&
	       visit(keeper.sock, KIND_SOCKET) && visit(keeper.binary, IPC_FD_PROGRAM) &&
	       visit(keeper.pidfile, KIND_FILE) && visit(keeper.tickets, IPC_FD_TEXT) &&
	       visit(keeper.notify.fd, KIND_SOCKET) && visit(keeper.commit.blob, IPC_FD_TEXT) &&
	       visit(a->settings, IPC_FD_TEXT) && visit(a->bundle, IPC_FD_TEXT) &&
	       visit_parts(&keeper.previous, visit) && visit_parts(&keeper.upgrade.parts, visit);
}

/* All but the signals' and what belongs to a reader or a trial, which do not run then. */
static bool visit_all(visit_fn *visit)
{
	bool good = visit_singles(visit);

	for (int i = 0; i < KEEPER_GENERATIONS && good; i++)
		if (keeper.generations[i].number)
			good = visit_parts(&keeper.generations[i].parts, visit);
	FOR_WORKERS (w)
		good = good && visit(w->pidfd, IPC_FD_PIDFD) && visit(w->channel, IPC_FD_CHANNEL);
	for (const struct held *h = keeper.held; h < keeper.held + KEEPER_HELD && good; h++)
		good = visit(h->fd, held_is_kept(h->name) ? IPC_FD_ANY : IPC_FD_LISTENER);
	for (int i = 0; i < KEEPER_CHILDREN && good; i++)
		good = visit(keeper.children[i].pidfd, IPC_FD_PIDFD);
	for (int i = 0; i < KEEPER_KNOCKS && good; i++)
		good = visit(keeper.attach.knocks[i].fd, KIND_SOCKET);
	return good;
}

static bool inherit(int fd, int kind)
{
	(void)kind;
	if (fd >= 0)
		(void)fcntl(fd, F_SETFD, 0);
	return true;
}

static bool close_on_exec(int fd, int kind)
{
	(void)kind;
	if (fd >= 0)
		(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	return true;
}

void carry_inherit(bool yes)
{
	(void)visit_all(yes ? inherit : close_on_exec);
}

static int odd_one = -1;

static bool check(int fd, int kind)
{
	if (fd < 0 || (fd > STDERR_FILENO && is_kind(fd, kind)))
		return true;
	odd_one = fd;
	return false;
}

/* ---- reading ---- */

/* What a fault of ours may have made of it, or a version with stricter rules does not know. */
static const char *judge(void)
{
	static char text[64];
	const char *why = settings_check(&keeper.settings);

	for (int i = 0; i < KEEPER_GENERATIONS && !why; i++)
		if (keeper.generations[i].number)
			why = settings_check(&keeper.generations[i].settings);
	if (!why && !generation_of(keeper.active))
		why = "there is no active generation";
	if (!why && !visit_all(check)) {
		snprintf(text, sizeof text, "descriptor %d is not what it should be", odd_one);
		why = text;
	}
	return why;
}

const char *carry_read(int fd)
{
	const struct header *ours = our_header();
	struct stream s = {.fd = fd};
	struct header h;

	if (pread(fd, &h, sizeof h, 0) != (ssize_t)sizeof h || lseek(fd, sizeof h, SEEK_SET) < 0 ||
	    h.magic != ours->magic)
		return "it is no keeper's state";
	if (h.version != ours->version || h.channels > IPC_VERSION ||
	    h.channels < IPC_VERSION_OLDEST || h.nsections != ours->nsections)
		return "its version is another one";
	shape_channels = h.channels;
	for (int i = 0; i < SECTIONS && !s.bad; i++)
		pass_section(&s, &sections[i]);
	if (s.bad || s.sum != h.sum)
		return "it is of another shape";
	return judge();
}

void carry_settle(void)
{
	memset(shapes, 0, sizeof shapes);
	shape_channels = 0;
}
