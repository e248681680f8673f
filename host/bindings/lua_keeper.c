/* host.keeper: the worker's words to its keeper, and what it hears. Other roles cannot require it.
 */
#include "bindings/lua_keeper.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/fd.h"
#include "bindings/lua_host.h"
#include "bindings/worker_channel.h"
#include "bindings/worker_orphan.h"
#include "bindings/worker_signals.h"
#include "net/loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <lauxlib.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Asking the keeper to bind an address is the one call that waits (s). */
#define BIND_LIMIT 2.0

enum { TEXT_LIMIT = 64 * 1024, BUNDLE_LIMIT = 256 * 1024 * 1024, BLOB_LIMIT = BUNDLE_LIMIT };

static struct worker_channel *const c = &worker_channel;
static int handlers = LUA_NOREF; /* table: what -> function */

/* ---- what the keeper says ---- */

static void set_number(lua_State *L, const char *key, lua_Integer value)
{
	lua_pushinteger(L, value);
	lua_setfield(L, -2, key);
}

static void set_string(lua_State *L, const char *key, const char *value)
{
	lua_pushstring(L, value);
	lua_setfield(L, -2, key);
}

static void set_bool(lua_State *L, const char *key, bool value)
{
	lua_pushboolean(L, value);
	lua_setfield(L, -2, key);
}

/* The text of a sealed memfd; its offset is shared with other processes, so it is not used. */
static bool push_text(lua_State *L, int fd, size_t limit)
{
	luaL_Buffer b;
	struct stat st;
	ssize_t n;
	char *to;

	if (fstat(fd, &st) < 0 || st.st_size < 0 || (size_t)st.st_size > limit)
		return false;
	to = luaL_buffinitsize(L, &b, (size_t)st.st_size + 1);
	n = pread(fd, to, (size_t)st.st_size, 0);
	luaL_pushresultsize(&b, n > 0 ? (size_t)n : 0);
	return true;
}

static const char *fill_signal(lua_State *L, struct ipc_message *m)
{
	char verb[32], state[32];
	uint32_t signo, sender;
	const char *word;

	if (!ipc_unpack(m, "ussu", &signo, verb, sizeof verb, state, sizeof state, &sender))
		return NULL;
	word = sigabbrev_np((int)signo);
	set_number(L, "signal", signo);
	if (word)
		lua_pushfstring(L, "SIG%s", word);
	else
		lua_pushfstring(L, "SIG%d", (int)signo);
	lua_setfield(L, -2, "name");
	set_string(L, "verb", verb);
	set_string(L, "state", state);
	set_number(L, "sender", sender);
	return "signal";
}

static const char *fill_verb(lua_State *L, struct ipc_message *m)
{
	char verb[32], origin[64], text[IPC_TEXT_MAX + 1];
	uint32_t forced;

	if (!ipc_unpack(
		m, "suss", verb, sizeof verb, &forced, origin, sizeof origin, text, sizeof text))
		return NULL;
	set_string(L, "verb", verb);
	set_bool(L, "forced", forced != 0);
	set_string(L, "origin", origin);
	set_string(L, "text", text);
	return "verb";
}

static const char *fill_result(lua_State *L, struct ipc_message *m)
{
	char text[IPC_TEXT_MAX + 1];
	uint32_t ok;

	if (!ipc_unpack(m, "us", &ok, text, sizeof text))
		return NULL;
	set_bool(L, "ok", ok != 0);
	set_string(L, "text", text);
	if (m->nfds > 0 && push_text(L, m->fds[0], TEXT_LIMIT))
		lua_setfield(L, -2, "faults");
	return "result";
}

static const char *fill_event(lua_State *L, struct ipc_message *m)
{
	uint32_t generation, worker, status, signo, restarts;
	char event[32];

	if (!ipc_unpack(
		m, "uusuuu", &generation, &worker, event, sizeof event, &status, &signo, &restarts))
		return NULL;
	set_number(L, "generation", generation);
	set_number(L, "worker", worker);
	set_string(L, "event", event);
	if (status != UINT32_MAX) /* of one that the keeper could not wait for */
		set_number(L, "exit", status);
	if (signo)
		set_number(L, "signal", signo);
	set_number(L, "restarts", restarts);
	return "worker";
}

static const char *fill_commit(lua_State *L, struct ipc_message *m)
{
	char step[32];
	uint32_t other;

	if (!ipc_unpack(m, "su", step, sizeof step, &other))
		return NULL;
	set_string(L, "step", step);
	set_number(L, "generation", other);
	if (m->nfds > 0 && push_text(L, m->fds[0], BLOB_LIMIT))
		lua_setfield(L, -2, "text");
	return "commit";
}

static void set_float(lua_State *L, const char *key, lua_Number value)
{
	lua_pushnumber(L, value);
	lua_setfield(L, -2, key);
}

static const char *fill_upgrade(lua_State *L, struct ipc_message *m)
{
	char state[32], outcome[32], at_state[32], reason[256];
	uint32_t from, target, committed, failed, rolled_back;
	double seconds, left, when, took, pause;

	if (!ipc_unpack(m, "suuffsssfffuuu", state, sizeof state, &from, &target, &seconds, &left,
		outcome, sizeof outcome, at_state, sizeof at_state, reason, sizeof reason, &when,
		&took, &pause, &committed, &failed, &rolled_back))
		return NULL;
	set_string(L, "state", state);
	set_number(L, "from", from);
	set_number(L, "target", target);
	set_float(L, "seconds", seconds);
	set_float(L, "left", left);
	set_string(L, "outcome", outcome);
	set_string(L, "at_state", at_state);
	set_string(L, "reason", reason);
	set_float(L, "ended", when);
	set_float(L, "took", took);
	set_float(L, "pause", pause);
	set_number(L, "committed", committed);
	set_number(L, "failed", failed);
	set_number(L, "rolled_back", rolled_back);
	return "upgrade";
}

/* Leaves the message's table on the stack; its name for on(), or NULL for what Lua does not hear.
 */
static const char *fill(lua_State *L, struct ipc_message *m)
{
	lua_newtable(L);
	if (!m)
		return "lost";
	set_number(L, "id", m->header.id);
	switch ((enum ipc_type)m->header.type) {
	case IPC_SIGNAL: return fill_signal(L, m);
	case IPC_VERB: return fill_verb(L, m);
	case IPC_RESULT: return fill_result(L, m);
	case IPC_EVENT: return fill_event(L, m);
	case IPC_BUNDLE: return "bundle";
	case IPC_COMMIT: return fill_commit(L, m);
	case IPC_UPGRADE: return fill_upgrade(L, m);
	case IPC_ADOPTED: set_number(L, "keeper_pid", c->keeper_pid); return "regained";
	default: return NULL;
	}
}

/* Message as light userdata -> table, name; in a protected call because it allocates. */
static int l_deliver(lua_State *L)
{
	struct ipc_message *m = lua_touserdata(L, 1);
	const char *what = fill(L, m);

	if (!what)
		return 0;
	lua_rawgeti(L, LUA_REGISTRYINDEX, handlers);
	if (lua_getfield(L, -1, what) != LUA_TFUNCTION)
		return 0;
	lua_pushvalue(L, 2); /* .. table handlers fn table */
	lua_call(L, 1, 0);   /* under lua_host_call */
	return 0;
}

static void on_message(struct ipc_message *m)
{
	lua_State *L = lua_host_state();
	struct loop *loop = loop_main();

	if (!L || handlers == LUA_NOREF)
		return;
	FAILPOINT("worker-verb");
	loop_enter(loop);
	lua_pushcfunction(L, l_deliver);
	lua_pushlightuserdata(L, m);
	(void)lua_host_call_logged(L, 1, 0, "in a handler of the keeper's message");
	loop_leave(loop);
}

void lua_keeper_local_verb(const char *verb, const char *origin)
{
	struct ipc_message m;

	ipc_pack(&m, IPC_VERB, 0, "suss", verb, 0, origin, "");
	on_message(&m);
}

static int l_on(lua_State *L)
{
	static const char *const names[] = {"signal", "verb", "bundle", "result", "worker", "lost",
	    "regained", "commit", "upgrade", NULL};

	(void)luaL_checkoption(L, 1, NULL, names);
	if (!lua_isnil(L, 2))
		luaL_checktype(L, 2, LUA_TFUNCTION);
	lua_settop(L, 2);
	lua_rawgeti(L, LUA_REGISTRYINDEX, handlers);
	lua_insert(L, 1);
	lua_rawset(L, 1);
	return 0;
}

/* ---- what the worker says ---- */

static int push_errno(lua_State *L, int error)
{
	luaL_pushfail(L);
	lua_pushstring(L, strerror(error));
	lua_pushinteger(L, error);
	return 3;
}

static int push_sent(lua_State *L, int sent)
{
	if (sent < 0)
		return push_errno(L, errno);
	lua_pushboolean(L, true);
	return 1;
}

static int l_bundle(lua_State *L)
{
	if (c->bundle < 0 || !push_text(L, c->bundle, BUNDLE_LIMIT))
		return push_errno(L, ENODATA);
	return 1;
}

static int l_take(lua_State *L)
{
	int fd = channel_take(luaL_checkstring(L, 1));

	FAILPOINT("worker-bind"); /* what was not held is bound next */
	if (fd < 0)
		luaL_pushfail(L);
	else
		lua_pushinteger(L, fd);
	return 1;
}

/* Where a held socket is bound, so that a renamed module finds it: type, address, port. */
static void set_address(lua_State *L, int fd)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_un un;
	} a = {0};
	socklen_t size = sizeof a;
	char text[INET6_ADDRSTRLEN];
	int type = SOCK_STREAM;

	if (getsockname(fd, &a.any, &size) < 0)
		return;
	size = sizeof type;
	(void)getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size);
	set_string(
	    L, "type", a.any.sa_family == AF_UNIX ? "unix" : (type == SOCK_DGRAM ? "udp" : "tcp"));
	if (a.any.sa_family == AF_INET) {
		set_string(L, "address", inet_ntop(AF_INET, &a.v4.sin_addr, text, sizeof text));
		set_number(L, "port", ntohs(a.v4.sin_port));
	} else if (a.any.sa_family == AF_INET6) {
		set_string(L, "address", inet_ntop(AF_INET6, &a.v6.sin6_addr, text, sizeof text));
		set_number(L, "port", ntohs(a.v6.sin6_port));
	} else if (a.any.sa_family == AF_UNIX) {
		bool abstract = a.un.sun_path[0] == '\0';

		lua_pushfstring(L, "%s%s", abstract ? "@" : "", a.un.sun_path + abstract);
		lua_setfield(L, -2, "address");
	}
}

static int l_held(lua_State *L)
{
	lua_createtable(L, (int)c->nheld, 0);
	for (size_t i = 0; i < c->nheld; i++) {
		lua_newtable(L);
		set_string(L, "name", c->held[i].name);
		set_bool(L, "claimed", c->held[i].claimed);
		if (strncmp(c->held[i].name, IPC_KEPT_PREFIX, sizeof IPC_KEPT_PREFIX - 1) == 0)
			set_bool(L, "kept", true);
		else if (c->held[i].fd >= 0)
			set_address(L, c->held[i].fd);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	return 1;
}

static int l_hold(lua_State *L)
{
	size_t n;
	const char *name = luaL_checklstring(L, 1, &n);
	int fd = (int)luaL_checkinteger(L, 2);

	luaL_argcheck(L, n > 0 && n < 256, 1, "a name has 1 to 255 bytes");
	luaL_argcheck(L, ipc_fd_is(fd, IPC_FD_LISTENER), 2, "not a bound socket");
	channel_claim(name, fd);
	FAILPOINT("worker-hold");
	return push_sent(L, channel_tell(IPC_HOLD, 0, "sd", name, fd));
}

/* keep(name, fd): any descriptor; the caller's stays its own. */
static int l_keep(lua_State *L)
{
	size_t n;
	const char *name = luaL_checklstring(L, 1, &n);
	int fd = (int)luaL_checkinteger(L, 2);

	luaL_argcheck(L, n < 256 && strncmp(name, IPC_KEPT_PREFIX, 6) == 0, 1, "not a kept name");
	luaL_argcheck(L, fd >= 0 && ipc_fd_is(fd, IPC_FD_ANY), 2, "not an open descriptor");
	channel_claim(name, fd);
	return push_sent(L, channel_tell(IPC_KEEP, 0, "sd", name, fd));
}

static int l_unhold(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);

	channel_forget(name);
	return push_sent(L, channel_tell(IPC_UNHOLD, 0, "s", name));
}

static int l_bind_privileged(lua_State *L)
{
	struct ipc_message m;
	lua_Integer index = luaL_checkinteger(L, 1);
	char text[IPC_TEXT_MAX + 1];
	uint32_t id = channel_next_id(), ok;

	luaL_argcheck(L, index >= 1 && index <= SETTINGS_ADDRESSES, 1, "no such address");
	if (channel_tell(IPC_BIND, id, "u", (uint32_t)index - 1) < 0 ||
	    channel_wait(id, BIND_LIMIT, &m) < 0)
		return push_errno(L, errno);
	if (m.header.type == IPC_BOUND) {
		lua_pushinteger(L, ipc_give_fd(&m, 0));
		return 1;
	}
	(void)ipc_unpack(&m, "us", &ok, text, sizeof text);
	ipc_close_fds(&m);
	luaL_pushfail(L);
	lua_pushstring(L, text);
	return 2;
}

static int l_ready(lua_State *L)
{
	FAILPOINT("worker-ready");
	if (channel_ready() < 0)
		return push_errno(L, errno);
	lua_pushboolean(L, true);
	return 1;
}

static int l_state(lua_State *L)
{
	int state = host_state_of(luaL_checkstring(L, 1));
	const char *phase = luaL_optstring(L, 2, ""), *reason = luaL_optstring(L, 3, "");
	double left = luaL_optnumber(L, 4, 0);

	luaL_argcheck(L, state >= 0 && state <= HOST_STOPPED, 1, "not a state");
	luaL_argcheck(L, strlen(phase) < 32, 2, "longer than 31 bytes");
	if (!(left >= 0 && left <= 1e9))
		left = 0;
	c->state = (enum host_state)state;
	if (state == HOST_SERVING)
		FAILPOINT("worker-serving");
	if (state == HOST_STOPPING)
		FAILPOINT("worker-stop");
	return push_sent(
	    L, channel_tell(IPC_STATE, 0, "ufss", (uint32_t)state, left, phase, reason));
}

static uint32_t opt_count(lua_State *L, const char *key, uint32_t old)
{
	lua_Number n = old;

	if (lua_getfield(L, 1, key) == LUA_TBOOLEAN)
		n = lua_toboolean(L, -1);
	else if (lua_isnumber(L, -1))
		n = lua_tonumber(L, -1);
	lua_pop(L, 1);
	return n < 0 ? 0 : n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

static int l_beat(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	c->ready = opt_count(L, "ready", c->ready);
	c->sessions = opt_count(L, "sessions", c->sessions);
	c->in_flight = opt_count(L, "in_flight", c->in_flight);
	if (lua_getfield(L, 1, "failing") == LUA_TSTRING)
		snprintf(c->failing, sizeof c->failing, "%s", lua_tostring(L, -1));
	else
		c->failing[0] = '\0';
	return 0;
}

static int l_request(lua_State *L)
{
	const char *verb = luaL_checkstring(L, 1), *text = luaL_optstring(L, 2, "");
	uint32_t id = channel_next_id();

	luaL_argcheck(L, host_verb_of(verb) > VERB_NONE, 1, "not a verb");
	if (channel_tell(IPC_REQUEST, id, "ss", verb, text) < 0)
		return push_errno(L, errno);
	lua_pushinteger(L, id);
	return 1;
}

static int l_answer(lua_State *L)
{
	static const char *const words[] = {"go", "veto", "handled", "applied", NULL};
	uint32_t id = (uint32_t)luaL_checkinteger(L, 1);
	const char *word = words[luaL_checkoption(L, 2, NULL, words)];
	const char *text = lua_type(L, 3) == LUA_TSTRING ? lua_tostring(L, 3) : "";

	return push_sent(L, channel_tell(IPC_ANSWER, id, "ss", word, text));
}

/* ack(id, ok [, why [, saved]]): the answer to a commit message. */
static int l_ack(lua_State *L)
{
	uint32_t id = (uint32_t)luaL_checkinteger(L, 1), ok = (uint32_t)lua_toboolean(L, 2);
	const char *why = luaL_optstring(L, 3, ""), *saved;
	int fd = -1, sent;
	size_t n;

	saved = luaL_optlstring(L, 4, NULL, &n);
	if (saved) {
		fd = fd_memfd("gadwall-saved", saved, n);
		if (fd < 0)
			return push_errno(L, errno);
	}
	sent = channel_tell(IPC_ACK, id, fd < 0 ? "us" : "usd", ok, why, fd);
	fd_close(&fd);
	return push_sent(L, sent);
}

/* failpoint(name): test builds only; for the steps that Lua takes. */
static int l_failpoint(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);

	for (const char *const *p = failpoint_names; *p; p++)
		if (strcmp(*p, name) == 0)
			FAILPOINT(*p);
	return 0;
}

static int l_leaving(lua_State *L)
{
	uint32_t code = (uint32_t)luaL_optinteger(L, 1, 0) & 0xff;

	FAILPOINT("worker-leaving");
	return push_sent(L, channel_tell(IPC_LEAVING, 0, "us", code, luaL_optstring(L, 2, "")));
}

/* blame([line [, report, path]]): see worker_signals_blame */
static int l_blame(lua_State *L)
{
	worker_signals_blame(
	    luaL_optstring(L, 1, NULL), luaL_optstring(L, 2, NULL), luaL_optstring(L, 3, NULL));
	return 0;
}

/* child(id, pidfd, survives): the keeper ends it if we cannot */
static int l_child(lua_State *L)
{
	uint32_t id = (uint32_t)luaL_checkinteger(L, 1);
	int pidfd = (int)luaL_checkinteger(L, 2);

	luaL_argcheck(L, ipc_fd_is(pidfd, IPC_FD_PIDFD), 2, "not a pidfd");
	return push_sent(L, channel_tell(IPC_CHILD, id, "ud", lua_toboolean(L, 3), pidfd));
}

static int l_child_ended(lua_State *L)
{
	return push_sent(L, channel_tell(IPC_CHILD_ENDED, (uint32_t)luaL_checkinteger(L, 1), ""));
}

static int l_orphan_deadline(lua_State *L)
{
	lua_Number seconds = luaL_checknumber(L, 1);

	luaL_argcheck(L, seconds >= 0 && seconds < 1e9, 1, "not a number of seconds");
	orphan_end_within(seconds);
	return 0;
}

static int l_workers(lua_State *L)
{
	double now = clock_monotonic();

	lua_createtable(L, (int)c->nstatus, 0);
	for (size_t i = 0; i < c->nstatus; i++) {
		const struct channel_status *s = &c->status[i];

		lua_newtable(L);
		set_number(L, "generation", s->generation);
		set_number(L, "worker", s->worker);
		set_number(L, "pid", s->pid);
		set_string(L, "state", host_state_name((enum host_state)s->state));
		set_number(L, "restarts", s->restarts);
		lua_pushnumber(L, s->started);
		lua_setfield(L, -2, "started");
		if (s->age >= 0) {
			lua_pushnumber(L, s->age + (now - s->at));
			lua_setfield(L, -2, "heartbeat_age");
		}
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	return 1;
}

/* ---- the table ---- */

static void push_hello(lua_State *L)
{
	lua_newtable(L);
	set_number(L, "generation", c->generation);
	set_number(L, "worker", c->worker);
	set_number(L, "workers", c->workers);
	set_bool(L, "passive", c->passive);
	set_bool(L, "joins", c->joins);
	set_string(L, "nonce", c->nonce);
	set_number(L, "keeper_pid", c->keeper_pid);
	if (c->config_file[0])
		set_string(L, "config_file", c->config_file);
	set_string(L, "runtime_path", c->settings.runtime_path);
	set_string(L, "data_path", c->settings.data_path);
	set_string(L, "admin_socket", c->settings.admin_socket);
	set_number(L, "inherited", c->inherited);
	set_number(L, "restarts", c->restarts);
	lua_pushnumber(L, c->settings.orphan_timeout);
	lua_setfield(L, -2, "orphan_timeout");
	lua_pushnumber(L, c->settings.hammer_time);
	lua_setfield(L, -2, "hammer_time");
}

int luaopen_host_keeper(lua_State *L)
{
	static const luaL_Reg functions[] = {{"bundle", l_bundle}, {"take", l_take},
	    {"held", l_held}, {"hold", l_hold}, {"unhold", l_unhold},
	    {"bind_privileged", l_bind_privileged}, {"ready", l_ready}, {"state", l_state},
	    {"beat", l_beat}, {"request", l_request}, {"answer", l_answer}, {"leaving", l_leaving},
	    {"blame", l_blame}, {"on", l_on}, {"ack", l_ack}, {"keep", l_keep},
	    {"failpoint", l_failpoint}, {"workers", l_workers}, {"child", l_child},
	    {"child_ended", l_child_ended}, {"orphan_deadline", l_orphan_deadline}, {NULL, NULL}};

	if (c->generation == 0)
		return luaL_error(L, "host.keeper: no keeper stands behind this process");
	luaL_newlib(L, functions);
	push_hello(L);
	lua_setfield(L, -2, "hello");
	if (handlers == LUA_NOREF) {
		lua_newtable(L);
		handlers = luaL_ref(L, LUA_REGISTRYINDEX);
	}
	c->on_message = on_message;
	return 1;
}
