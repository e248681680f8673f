/* What the files behind host.net, host.loop, host.timer and host.signals share. */
#ifndef BINDINGS_LUA_NET_H
#define BINDINGS_LUA_NET_H

#include "bindings/lua_handle.h"
#include "net/conn.h"
#include "net/listener.h"
#include "net/tls_ctx.h"

struct lua_server {
	struct lua_handle h;
	struct listener l;
	int opts;     /* registry ref: the table given to serve, or LUA_NOREF */
	int on_close; /* registry ref: callback of close_gracefully */
	uint32_t read_size;
	uint32_t counted; /* open connections of class client; in the list of lua_net.c if not 0 */
	struct lua_server *counted_next, **counted_at;
	enum conn_mode mode;
	bool left;   /* destroyed, not closed: the socket lives on elsewhere */
	bool silent; /* destroyed while it was open: ondisconnect is not called */
	float read_timeout;
	struct tls_ctx *tls; /* holds; newcomers begin with its handshake; NULL: plain */
};

struct lua_conn {
	struct lua_handle h;
	struct conn c;
};

/* What a listener's native onincoming is given, as a light userdata: bytes that are the loop's,
 * valid until it reads again. A string of them, and the garbage that it is, costs 700 instructions.
 */
extern struct lua_input {
	const char *bytes;
	size_t n;
} lua_input;

static inline struct lua_conn *lua_conn_of(struct conn *conn)
{
	return (struct lua_conn *)((char *)conn - offsetof(struct lua_conn, c));
}

/* lua_handle_call for a connection: with fatal_errors, one whose callback raised is destroyed.
 * lua_conn_failed does what that does with the error, which is on top of the stack. */
bool lua_conn_call(
    lua_State *L, struct lua_conn *lc, enum lua_callback which, int nargs, int nresults);
void lua_conn_failed(lua_State *L, struct lua_conn *lc, enum lua_callback which);

/* Of the connections' struct conn_ops (lua_conn_in.c); init before all. */
void lua_conn_input_init(lua_State *L);
void lua_conn_incoming(struct conn *c, const char *bytes, size_t n, const char *err);
void lua_conn_reads(struct conn_reads *reads);
void lua_conn_lines(struct conn *c, struct conn_lines *in);
bool lua_conn_hears_end(struct conn *c); /* whether onincoming sees its third argument */

#define LUA_CONN_CLASS   "connection"
#define LUA_SERVER_CLASS "server"

/* Metatable of accepted connections, a registry reference. They are pinned from before they own
 * anything to after they have given it back, so they need no gc. */
extern int lua_conn_newcomers;

/* Metatables and methods tables: pushes the methods table. */
void lua_push_conn_class(lua_State *L);
void lua_push_server_class(lua_State *L);

/* Methods that need a descriptor only (lua_conn_info.c): ip, port, setoption, … */
extern const luaL_Reg lua_conn_info_methods[];
extern const luaL_Reg lua_conn_computed[];

/* TLS (lua_tls_conn.c): starting it, and what is known of the peer. */
extern const luaL_Reg lua_conn_tls_methods[];

/* The context at `index`, borrowed: NULL if nil or none; raises on anything else. */
struct tls_ctx *lua_opt_tls_ctx(lua_State *L, int index);

/* host.net.serve(fd, listeners, opts), connect(addr, port, listeners, opts), adopt(fd, listeners,
 * opts). */
int l_server_serve(lua_State *L);
int l_conn_connect(lua_State *L);
int l_conn_adopt(lua_State *L);

/* Makes and announces the handle of a newcomer; takes fd and the peer's place. */
void lua_conn_accepted(struct lua_server *server, int fd, struct limits_peer *peer);

/* What ip() and port() say as long as the socket itself does not know its peer. */
void lua_conn_note_peer(lua_State *L, int handle, const char *ip, unsigned port);

/* "client", "peer", "admin" at `index`; `fallback` if nil. Raises on another word. */
enum conn_class lua_check_class(lua_State *L, int index, enum conn_class fallback);

/* A read mode as set_mode and read_size take it: number, "*a", "*l", "*L". Raises on others. */
enum conn_mode lua_check_mode(lua_State *L, int index, size_t *size_r);

/* Counts a connection of class client in and out; the server lives as long as its connections. */
void lua_net_opened(struct lua_server *server);
void lua_net_closed(struct lua_server *server);

/* Keeps a userdata in the registry whose gc is `end`: runs when the state closes, after all
 * handles' own. */
void lua_push_end(lua_State *L, lua_CFunction end);

int luaopen_host_loop(lua_State *L);
int luaopen_host_timer(lua_State *L);
int luaopen_host_signals(lua_State *L);
int luaopen_host_net(lua_State *L);
int luaopen_host_tls(lua_State *L);

#endif
