/* What a connection handle knows: addresses, counts, computed fields, socket options. */
#include "bindings/lua_net.h"
#include "net/addr.h"
#include "net/tls.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static struct lua_conn *check(lua_State *L)
{
	return lua_check_handle(L, 1, LUA_HANDLE_CONN);
}

/* ---- addresses ----
 * Asked of the kernel once and kept in the handle's table, under keys that no caller can have.
 */

enum { PEER, OWN };

static const char keys[2][2]; /* which, address or port */

static void push_cache(lua_State *L, int handle)
{
	handle = lua_absindex(L, handle);
	if (lua_getiuservalue(L, handle, 1) == LUA_TTABLE)
		return;
	lua_pop(L, 1);
	lua_createtable(L, 4, 0);
	lua_pushvalue(L, -1);
	lua_setiuservalue(L, handle, 1);
}

static void store(lua_State *L, int which, const char *ip, unsigned port)
{
	lua_pushstring(L, ip);
	lua_rawsetp(L, -2, &keys[which][0]);
	lua_pushinteger(L, port);
	lua_rawsetp(L, -2, &keys[which][1]);
}

void lua_conn_note_peer(lua_State *L, int handle, const char *ip, unsigned port)
{
	const struct lua_conn *lc = lua_touserdata(L, handle);
	char known[ADDR_TEXT];
	unsigned known_port;

	if (addr_of(lc->c.io.fd, true, known, &known_port) == 0 && known[0])
		return;
	push_cache(L, handle);
	store(L, PEER, ip, port);
	lua_pop(L, 1);
}

/* Pushes address and port of one side, or nil and nil. */
static void push_name(lua_State *L, struct lua_conn *lc, int which)
{
	char text[ADDR_TEXT];
	unsigned port;

	push_cache(L, 1); /* cache */
	if (lua_rawgetp(L, -1, &keys[which][0]) == LUA_TNIL && lc->c.io.fd >= 0 &&
	    addr_of(lc->c.io.fd, which == PEER, text, &port) == 0 && text[0]) {
		lua_pushvalue(L, -2);
		store(L, which, text, port);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	lua_rawgetp(L, -1, &keys[which][0]);
	lua_rawgetp(L, -2, &keys[which][1]);
	lua_remove(L, -3);
}

/* AF_INET or AF_INET6 of a stream over IP, which has a peer with an address, or had one. */
static int family_of_stream(const struct conn *c)
{
	struct sockaddr own = {.sa_family = AF_UNSPEC};
	socklen_t size = sizeof own;

	if (c->datagram || c->io.fd < 0 || getsockname(c->io.fd, &own, &size) < 0)
		return AF_UNSPEC;
	return own.sa_family;
}

/* The address of a peer that has none. Who has reset his connection before he was asked for is
 * nobody: our own address would be trusted, where it is asked who may do something. */
static void push_no_peer(lua_State *L, struct lua_conn *lc)
{
	int family = family_of_stream(&lc->c);

	if (family != AF_INET && family != AF_INET6) {
		push_name(L, lc, OWN);
		return;
	}
	lua_pushstring(L, family == AF_INET ? "0.0.0.0" : "::");
	lua_pushinteger(L, 0);
}

/* The first value of the peer's pair, of our own if none can be (Unix, datagrams); `value` 0
 * address, 1 port. */
static int either(lua_State *L, int value)
{
	struct lua_conn *lc = check(L);

	push_name(L, lc, PEER);
	if (lua_isnil(L, -2)) {
		lua_pop(L, 2);
		push_no_peer(L, lc);
	}
	if (value == 0)
		lua_pop(L, 1);
	return 1;
}

static int l_ip(lua_State *L)
{
	return either(L, 0);
}

static int l_port(lua_State *L)
{
	return either(L, 1);
}

static int one_port(lua_State *L, bool of_peer)
{
	push_name(L, check(L), of_peer ? PEER : OWN);
	return 1;
}

static int l_clientport(lua_State *L)
{
	return one_port(L, check(L)->c.server != NULL);
}

static int l_serverport(lua_State *L)
{
	return one_port(L, check(L)->c.server == NULL);
}

static int l_getpeername(lua_State *L)
{
	push_name(L, check(L), PEER);
	return 2;
}

static int l_getsockname(lua_State *L)
{
	push_name(L, check(L), OWN);
	return 2;
}

static int l_tostring(lua_State *L)
{
	struct lua_conn *lc = check(L);

	lua_settop(L, 1);
	push_name(L, lc, PEER);
	push_name(L, lc, OWN); /* conn peer port own port */
	if (!lua_isnil(L, 2) && !lua_isnil(L, 4))
		lua_pushfstring(L, "FD %d (%s, %I, %s, %I)", lc->c.io.fd, lua_tostring(L, 2),
		    lua_tointeger(L, 3), lua_tostring(L, 4), lua_tointeger(L, 5));
	else if (!lua_isnil(L, 2) || !lua_isnil(L, 4))
		lua_pushfstring(L, "FD %d (%s, %I)", lc->c.io.fd,
		    lua_isnil(L, 4) ? lua_tostring(L, 2) : lua_tostring(L, 4),
		    lua_isnil(L, 4) ? lua_tointeger(L, 3) : lua_tointeger(L, 5));
	else
		lua_pushfstring(L, "FD %d", lc->c.io.fd);
	return 1;
}

/* ---- facts ---- */

static int l_getfd(lua_State *L)
{
	lua_pushinteger(L, check(L)->c.io.fd);
	return 1;
}

/* The accepting server's handle, or the connection itself. */
static int l_server(lua_State *L)
{
	struct lua_conn *lc = check(L);
	struct lua_server *s;

	if (lc->c.server) {
		s = (struct lua_server *)((char *)lc->c.server - offsetof(struct lua_server, l));
		if (lua_rawgeti(L, LUA_REGISTRYINDEX, s->h.pin) != LUA_TNIL)
			return 1;
	}
	lua_settop(L, 1);
	return 1;
}

static int l_class(lua_State *L)
{
	lua_pushstring(L, conn_class_name((enum conn_class)check(L)->c.klass));
	return 1;
}

static int l_state(lua_State *L)
{
	lua_pushstring(L, conn_state_name((enum conn_state)check(L)->c.state));
	return 1;
}

/* Bytes that wait in this process. */
static int l_queued(lua_State *L)
{
	lua_pushinteger(L, (lua_Integer)conn_queued(&check(L)->c));
	return 1;
}

/* A field of the opts table of the accepting server. */
static int server_opt(lua_State *L, const char *name)
{
	struct lua_conn *lc = check(L);
	struct lua_server *s;

	if (!lc->c.server)
		return 0;
	s = (struct lua_server *)((char *)lc->c.server - offsetof(struct lua_server, l));
	if (lua_rawgeti(L, LUA_REGISTRYINDEX, s->opts) != LUA_TTABLE)
		return 0;
	lua_getfield(L, -1, name);
	return 1;
}

static int l_service(lua_State *L)
{
	return server_opt(L, "service");
}

/* peercred(): pid, uid, gid of a Unix peer */
static int l_peercred(lua_State *L)
{
	struct ucred cred;
	socklen_t size = sizeof cred;

	if (getsockopt(check(L)->c.io.fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
		return lua_push_error(L, errno);
	lua_pushinteger(L, cred.pid);
	lua_pushinteger(L, (lua_Integer)cred.uid);
	lua_pushinteger(L, (lua_Integer)cred.gid);
	return 3;
}

/* ---- options ---- */

static const struct option {
	const char *name; /* LuaSocket's */
	int level, number;
} OPTIONS[] = {
    {"keepalive", SOL_SOCKET, SO_KEEPALIVE},
    {"reuseaddr", SOL_SOCKET, SO_REUSEADDR},
    {"send-buffer-size", SOL_SOCKET, SO_SNDBUF},
    {"recv-buffer-size", SOL_SOCKET, SO_RCVBUF},
    {"tcp-nodelay", IPPROTO_TCP, TCP_NODELAY},
    {"tcp-keepidle", IPPROTO_TCP, TCP_KEEPIDLE},
    {"tcp-keepintvl", IPPROTO_TCP, TCP_KEEPINTVL},
    {"tcp-keepcnt", IPPROTO_TCP, TCP_KEEPCNT},
    {"reuseport", SOL_SOCKET, SO_REUSEPORT},
    {"broadcast", SOL_SOCKET, SO_BROADCAST},
    {"dontroute", SOL_SOCKET, SO_DONTROUTE},
    {"tcp-user-timeout", IPPROTO_TCP, TCP_USER_TIMEOUT},
    {NULL, 0, 0},
};

/* LuaSocket's { on = bool, timeout = seconds } */
static int set_linger(lua_State *L, int fd)
{
	struct linger linger = {0, 0};

	if (!lua_istable(L, 3)) {
		errno = EINVAL;
		return -1;
	}
	lua_getfield(L, 3, "on");
	lua_getfield(L, 3, "timeout");
	linger.l_onoff = lua_toboolean(L, -2);
	linger.l_linger = (int)lua_tointeger(L, -1);
	return setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

/* setoption(name, value): true; or false, message */
static int l_setoption(lua_State *L)
{
	int fd = check(L)->c.io.fd;
	const char *name = luaL_checkstring(L, 2);
	int value = lua_isnumber(L, 3) ? (int)lua_tointeger(L, 3) : lua_toboolean(L, 3);
	const char *why = "unsupported option";
	const struct option *o = OPTIONS;
	int r = -1;

	while (o->name && strcmp(o->name, name) != 0)
		o++;
	if (lua_isnoneornil(L, 3)) {
		why = "value expected";
	} else if (strcmp(name, "linger") == 0) {
		r = set_linger(L, fd);
		why = NULL;
	} else if (o->name) {
		r = setsockopt(fd, o->level, o->number, &value, sizeof value);
		why = NULL;
	}
	lua_pushboolean(L, r == 0);
	if (r == 0)
		return 1;
	lua_pushstring(L, why ? why : strerror(errno));
	return 2;
}

const luaL_Reg lua_conn_info_methods[] = {{"ip", l_ip}, {"port", l_port},
    {"clientport", l_clientport}, {"serverport", l_serverport}, {"getpeername", l_getpeername},
    {"getsockname", l_getsockname}, {"getfd", l_getfd}, {"server", l_server}, {"class", l_class},
    {"state", l_state}, {"queued", l_queued}, {"service", l_service}, {"peercred", l_peercred},
    {"setoption", l_setoption}, {"__tostring", l_tostring}, {NULL, NULL}};

/* ---- computed fields ---- */

enum { ID_SIZE = 24 };

/* Distinct, as the serial is: an operator closes a connection of any worker by it. */
static void id_of(struct lua_conn *lc, char id[ID_SIZE])
{
	snprintf(id, ID_SIZE, "conn%08x", lc->c.serial * 2654435761u);
}

static int l_id(lua_State *L)
{
	char id[ID_SIZE];

	id_of(check(L), id);
	lua_pushstring(L, id);
	return 1;
}

static int l_log(lua_State *L)
{
	char id[ID_SIZE];

	id_of(check(L), id);
	return lua_push_logger(L, id);
}

/* Callers of Prosody ask it for names, or whether it is still there. */
static int l_conn(lua_State *L)
{
	if (check(L)->c.state == CONN_CLOSED)
		return 0;
	lua_settop(L, 1);
	return 1;
}

static int l_created(lua_State *L)
{
	struct lua_conn *lc = check(L);

	lua_pushnumber(
	    L, lc->c.loop->born_real + (double)(lc->c.born - 1) / WHEEL_TICKS_PER_SECOND);
	return 1;
}

static int l_listeners(lua_State *L)
{
	struct lua_conn *lc = check(L);

	if (!lc->h.listeners)
		return 0;
	lua_rawgeti(L, LUA_REGISTRYINDEX, lc->h.listeners->table);
	return 1;
}

/* What waits, as Prosody's field: nil when nothing does. */
static int l_writebuffer(lua_State *L)
{
	struct lua_conn *lc = check(L);
	size_t n;
	const char *corked = conn_corked(&lc->c, &n);
	luaL_Buffer b;

	if (!n && !lc->c.out)
		return 0;
	luaL_buffinit(L, &b);
	if (lc->c.out)
		luaL_addlstring(&b, buf_peek(lc->c.out), buf_len(lc->c.out));
	if (n)
		luaL_addlstring(&b, corked, n);
	luaL_pushresult(&b);
	return 1;
}

/* Callers take the field for the question whether STARTTLS may be offered: false once TLS is there.
 * The method is the runtime's, `begin_tls`; the upvalue is l_index's. */
static int l_starttls(lua_State *L)
{
	if (tls_of(&check(L)->c))
		lua_pushboolean(L, 0);
	else
		lua_getfield(L, lua_upvalueindex(1), "begin_tls");
	return 1;
}

const luaL_Reg lua_conn_computed[] = {{"id", l_id}, {"log", l_log}, {"conn", l_conn},
    {"created", l_created}, {"listeners", l_listeners}, {"writebuffer", l_writebuffer},
    {"starttls", l_starttls}, {NULL, NULL}};
