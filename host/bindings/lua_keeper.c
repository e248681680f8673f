/* host.keeper: the worker's words to its keeper; what it hears is in lua_keeper_heard.c. Other
 * roles cannot require it. */
#include "bindings/lua_keeper.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/fd.h"
#include "bindings/lua_fields.h"
#include "bindings/worker_channel.h"
#include "bindings/worker_orphan.h"
#include "bindings/worker_signals.h"

#include <arpa/inet.h>
#include <errno.h>
#include <lauxlib.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* Asking the keeper for a listener is what waits (s). */
#define BIND_LIMIT 2.0

enum { BUNDLE_LIMIT = 256 * 1024 * 1024 };

static struct worker_channel *const c = &worker_channel;

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
	if (c->bundle_error)
		return push_errno(L, c->bundle_error);
	if (c->bundle < 0 || !lua_keeper_push_text(L, c->bundle, BUNDLE_LIMIT))
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
	lua_set_string(
	    L, "type", a.any.sa_family == AF_UNIX ? "unix" : (type == SOCK_DGRAM ? "udp" : "tcp"));
	if (a.any.sa_family == AF_INET) {
		lua_set_string(L, "address", inet_ntop(AF_INET, &a.v4.sin_addr, text, sizeof text));
		lua_set_integer(L, "port", ntohs(a.v4.sin_port));
	} else if (a.any.sa_family == AF_INET6) {
		lua_set_string(
		    L, "address", inet_ntop(AF_INET6, &a.v6.sin6_addr, text, sizeof text));
		lua_set_integer(L, "port", ntohs(a.v6.sin6_port));
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
		lua_set_string(L, "name", c->held[i].name);
		lua_set_bool(L, "claimed", c->held[i].claimed);
		if (strncmp(c->held[i].name, IPC_KEPT_PREFIX, sizeof IPC_KEPT_PREFIX - 1) == 0)
			lua_set_bool(L, "kept", true);
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

/* The answer to a question for a listener: its fd; or nil and why not. */
static int push_bound(lua_State *L, uint32_t id)
{
	struct ipc_message m;
	char text[IPC_TEXT_MAX + 1] = "";
	uint32_t ok;

	if (channel_wait(id, BIND_LIMIT, &m) < 0)
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

static int l_bind_privileged(lua_State *L)
{
	lua_Integer index = luaL_checkinteger(L, 1);
	uint32_t id = channel_next_id();

	luaL_argcheck(L, index >= 1 && index <= SETTINGS_ADDRESSES, 1, "no such address");
	if (channel_tell(IPC_BIND, id, "u", (uint32_t)index - 1) < 0)
		return push_errno(L, errno);
	return push_bound(L, id);
}

/* want(name, seconds): the listener of that name that another worker of the generation has bound,
 * or binds within that time; its fd, or nil and why not. */
static int l_want(lua_State *L)
{
	static const struct timespec pause = {.tv_nsec = 10000000};
	const char *name = luaL_checkstring(L, 1);
	double end = clock_monotonic() + luaL_checknumber(L, 2);

	if (c->lost || !ipc_type_in(IPC_WANT, c->version))
		return push_errno(L, ENOTSUP);
	for (;;) {
		uint32_t id = channel_next_id();
		int pushed;

		if (channel_tell(IPC_WANT, id, "s", name) < 0)
			return push_errno(L, errno);
		pushed = push_bound(L, id);
		if (pushed == 1)
			channel_claim(name, (int)lua_tointeger(L, -1));
		if (pushed != 2 || clock_monotonic() >= end)
			return pushed;
		lua_pop(L, pushed);
		/* between its bind and its word to the keeper lie microseconds */
		(void)nanosleep(&pause, NULL);
	}
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
	char begin[32]; /* the keeper takes no more of its name */
	double left = luaL_optnumber(L, 4, 0);

	luaL_argcheck(L, state >= 0 && state <= HOST_STOPPED, 1, "not a state");
	if (!(left >= 0 && left <= 1e9))
		left = 0;
	c->state = (enum host_state)state;
	if (state == HOST_SERVING)
		FAILPOINT("worker-serving");
	if (state == HOST_STOPPING)
		FAILPOINT("worker-stop");
	snprintf(begin, sizeof begin, "%s", phase);
	return push_sent(
	    L, channel_tell(IPC_STATE, 0, "ufss", (uint32_t)state, left, begin, reason));
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
		lua_set_integer(L, "generation", s->generation);
		lua_set_integer(L, "worker", s->worker);
		lua_set_integer(L, "pid", s->pid);
		lua_set_string(L, "state", host_state_name((enum host_state)s->state));
		lua_set_integer(L, "restarts", s->restarts);
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

/* As whom the keeper made the channel; root if that cannot be told, which is the stricter case. */
static bool keeper_is_root(void)
{
	struct ucred peer;
	socklen_t size = sizeof peer;

	return getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || peer.uid == 0;
}

static void push_hello(lua_State *L)
{
	lua_newtable(L);
	lua_set_bool(L, "as_root", keeper_is_root());
	lua_set_integer(L, "generation", c->generation);
	lua_set_integer(L, "worker", c->worker);
	lua_set_integer(L, "workers", c->workers);
	lua_set_bool(L, "passive", c->passive);
	lua_set_bool(L, "joins", c->joins);
	lua_set_string(L, "nonce", c->nonce);
	lua_set_integer(L, "keeper_pid", c->keeper_pid);
	if (c->config_file[0])
		lua_set_string(L, "config_file", c->config_file);
	lua_set_string(L, "runtime_path", c->settings.runtime_path);
	lua_set_string(L, "data_path", c->settings.data_path);
	lua_set_string(L, "admin_socket", c->settings.admin_socket);
	lua_set_integer(L, "inherited", c->inherited);
	lua_set_integer(L, "restarts", c->restarts);
	lua_pushnumber(L, c->settings.orphan_timeout);
	lua_setfield(L, -2, "orphan_timeout");
	lua_pushnumber(L, c->settings.hammer_time);
	lua_setfield(L, -2, "hammer_time");
}

int luaopen_host_keeper(lua_State *L)
{
	static const luaL_Reg functions[] = {{"bundle", l_bundle}, {"take", l_take},
	    {"held", l_held}, {"hold", l_hold}, {"unhold", l_unhold},
	    {"bind_privileged", l_bind_privileged}, {"want", l_want}, {"ready", l_ready},
	    {"state", l_state}, {"beat", l_beat}, {"request", l_request}, {"answer", l_answer},
	    {"leaving", l_leaving}, {"blame", l_blame}, {"ack", l_ack}, {"keep", l_keep},
	    {"failpoint", l_failpoint}, {"workers", l_workers}, {"child", l_child},
	    {"child_ended", l_child_ended}, {"orphan_deadline", l_orphan_deadline}, {NULL, NULL}};

	if (c->generation == 0)
		return luaL_error(L, "host.keeper: no keeper stands behind this process");
	luaL_newlib(L, functions);
	push_hello(L);
	lua_setfield(L, -2, "hello");
	lua_keeper_open_heard(L);
	return 1;
}
