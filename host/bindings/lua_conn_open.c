/* How connection handles begin: accepted, connected, adopted. */
#include "base/fd.h"
#include "base/log.h"
#include "bindings/lua_host.h"
#include "bindings/lua_net.h"
#include "net/addr.h"
#include "net/limits.h"
#include "net/tls.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static struct lua_conn *push_new(lua_State *L, struct loop *loop)
{
	struct lua_conn *lc = lua_push_handle_new(L, sizeof *lc, LUA_HANDLE_CONN, LUA_CONN_CLASS);

	conn_init(&lc->c, loop);
	return lc;
}

static struct lua_conn *push_newcomer(lua_State *L, struct loop *loop)
{
	struct lua_conn *lc =
	    lua_push_handle_of(L, sizeof *lc, LUA_HANDLE_CONN, lua_conn_newcomers);

	lc->h.newcomer = true;
	conn_init(&lc->c, loop);
	return lc;
}

struct newcomer {
	struct lua_server *server;
	struct lua_conn *conn;
};

/* Under lua_host_call: everything here may raise, and owns nothing but what Lua holds. */
static int l_newcomer(lua_State *L)
{
	struct newcomer *n = lua_touserdata(L, 1);
	struct lua_server *s = n->server;
	struct lua_conn *lc = push_newcomer(L, s->l.loop);

	lua_check_handle_pin(L, &lc->h, -1);
	n->conn = lc;
	lua_check_listeners_again(L, s->h.listeners);
	return 0;
}

void lua_conn_accepted(struct lua_server *s, int fd, struct limits_peer *peer)
{
	lua_State *L = lua_handle_state();
	struct newcomer n = {s, NULL};
	struct conn *c;

	if (lua_host_room(4096)) {
		lua_pushcfunction(L, l_newcomer);
		lua_pushlightuserdata(L, &n);
		lua_host_call_logged(L, 1, 0, "accepting a connection");
	}
	if (!n.conn) {
		close(fd);
		limits_leave(s->l.loop->limits, &peer);
		listener_conn_gone(&s->l);
		return;
	}
	c = &n.conn->c;
	n.conn->h.listeners = lua_listeners_hold(s->h.listeners);
	c->server = &s->l;
	conn_set_peer(c, peer);
	c->read_timeout = s->read_timeout;
	conn_set_mode(c, s->mode, s->read_size);
	if (s->tls && tls_begin(c, s->tls, NULL) < 0)
		log_error("accepting a connection: %s", strerror(errno));
	conn_hold(c);
	conn_accept_take(c, fd, s->l.klass);
	if (s->l.klass == CONN_CLIENT && c->state != CONN_CLOSED) {
		n.conn->h.counted = true;
		lua_net_opened(s);
	}
	if (s->tls && !tls_of(c))
		conn_destroy(c); /* never plain where TLS was meant */
	else if (c->state == CONN_OPEN)
		c->loop->ops->connect(c);
	conn_release(c);
}

/* Reads the opts table at `index`; conn is the handle's. */
static enum conn_class check_opts(lua_State *L, int index, struct conn *c)
{
	enum conn_class klass;
	struct tls_ctx *tls;
	enum conn_mode mode;
	size_t size;

	if (lua_isnoneornil(L, index))
		return CONN_PEER;
	luaL_checktype(L, index, LUA_TTABLE);
	lua_getfield(L, index, "class");
	klass = lua_check_class(L, -1, CONN_PEER);
	lua_getfield(L, index, "read_size");
	mode = lua_check_mode(L, -1, &size);
	conn_set_mode(c, mode, size);
	lua_getfield(L, index, "read_timeout");
	c->read_timeout = (float)luaL_optnumber(L, -1, 0);
	lua_getfield(L, index, "tls");
	tls = lua_opt_tls_ctx(L, -1);
	lua_getfield(L, index, "servername");
	if (tls && tls_begin(c, tls, lua_tostring(L, -1)) < 0)
		luaL_error(L, "%s", strerror(errno));
	lua_pop(L, 5);
	return klass;
}

/* connect(addr, port, listeners, opts) */
int l_conn_connect(lua_State *L)
{
	const char *text = luaL_checkstring(L, 1);
	lua_Integer port = luaL_optinteger(L, 2, 0);
	struct loop *loop = lua_check_loop(L);
	enum conn_class klass;
	struct lua_conn *lc;
	struct addr addr;
	int fd;

	lua_settop(L, 4);
	if (port < 0 || port > 65535)
		return lua_push_error(L, EINVAL);
	if (addr_parse(&addr, text, (unsigned)port) < 0)
		return lua_push_error(L, errno);
	lc = push_new(L, loop); /* addr port listeners opts handle */
	klass = check_opts(L, 4, &lc->c);
	lc->h.listeners = lua_check_listeners(L, 3);
	lua_check_handle_pin(L, &lc->h, 5);
	fd = addr_connect(&addr);
	if (fd < 0) {
		int error = errno;

		lua_handle_unpin(&lc->h);
		return lua_push_error(L, error);
	}
	conn_adopt_take(&lc->c, fd, klass);
	lua_conn_note_peer(L, 5, text, (unsigned)port);
	return 1;
}

/* opts.pipe: open at once, because the end that reads is never writable; without onconnect. */
static bool is_pipe(lua_State *L, int index)
{
	bool yes;

	if (!lua_istable(L, index))
		return false;
	lua_getfield(L, index, "pipe");
	yes = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return yes;
}

/* adopt(fd, listeners, opts): opts.ip and opts.port name the peer if the socket cannot; opts.pipe:
 * it is no socket but an end of a pipe. Takes the fd. */
int l_conn_adopt(lua_State *L)
{
	int fd = (int)luaL_checkinteger(L, 1);
	struct loop *loop = lua_check_loop(L);
	enum conn_class klass;
	struct lua_conn *lc;

	lua_settop(L, 3);
	lc = push_new(L, loop); /* fd listeners opts handle */
	klass = check_opts(L, 3, &lc->c);
	lc->h.listeners = lua_check_listeners(L, 2);
	if (fd_set_flags(fd) < 0)
		return lua_push_error(L, errno);
	lua_check_handle_pin(L, &lc->h, 4);
	if (is_pipe(L, 3)) {
		lc->c.transport = TRANSPORT_PIPE;
		conn_accept_take(&lc->c, fd, klass);
		return 1;
	}
	conn_adopt_take(&lc->c, fd, klass);
	if (lua_istable(L, 3)) {
		lua_getfield(L, 3, "ip");
		lua_getfield(L, 3, "port");
		if (lua_isstring(L, -2))
			lua_conn_note_peer(
			    L, 4, lua_tostring(L, -2), (unsigned)luaL_optinteger(L, -1, 0));
		lua_pop(L, 2);
	}
	return 1;
}
