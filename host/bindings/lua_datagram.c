/* host.datagram: packets over descriptors; objects and callbacks are net.datagram's. */
#include "bindings/lua_handle.h"
#include "net/datagram.h"

#include <errno.h>
#include <lauxlib.h>
#include <string.h>
#include <unistd.h>

static struct addr check_addr(lua_State *L, int index)
{
	const char *text = luaL_checkstring(L, index);
	lua_Integer port = luaL_optinteger(L, index + 1, 0);
	struct addr a = {0};

	if (port < 0 || port > UINT16_MAX || addr_parse(&a, text, (unsigned)port) < 0)
		luaL_argerror(L, index, "not an address");
	return a;
}

/* open(address, port, bound) -> fd */
static int l_open(lua_State *L)
{
	struct addr a = check_addr(L, 1);
	int fd = datagram_open(&a, lua_toboolean(L, 3));

	if (fd < 0)
		return lua_push_error(L, errno);
	lua_pushinteger(L, fd);
	return 1;
}

/* connect(fd, address, port) -> true */
static int l_connect(lua_State *L)
{
	int fd = (int)luaL_checkinteger(L, 1);
	struct addr a = check_addr(L, 2);

	if (datagram_connect(fd, &a) < 0)
		return lua_push_error(L, errno);
	lua_pushboolean(L, 1);
	return 1;
}

/* receive(fd) -> data, address, port; nil, "timeout" when there is none */
static int l_receive(lua_State *L)
{
	static char data[DATAGRAM_MAX];
	int fd = (int)luaL_checkinteger(L, 1);
	struct addr from;
	char text[ADDR_TEXT];
	unsigned port;
	ssize_t n = datagram_receive(fd, data, sizeof data, &from);

	if (n < 0 && errno == EAGAIN) {
		lua_pushnil(L);
		lua_pushliteral(L, "timeout");
		return 2;
	}
	if (n < 0)
		return lua_push_error(L, errno);
	lua_pushlstring(L, data, (size_t)n);
	if (addr_format(&from, text, &port) < 0)
		return 1;
	lua_pushstring(L, text);
	lua_pushinteger(L, port);
	return 3;
}

/* send(fd, data [, address, port]) -> bytes */
static int l_send(lua_State *L)
{
	int fd = (int)luaL_checkinteger(L, 1);
	size_t size;
	const char *data = luaL_checklstring(L, 2, &size);
	struct addr to;
	bool named = !lua_isnoneornil(L, 3);
	ssize_t n;

	if (named)
		to = check_addr(L, 3);
	n = datagram_send(fd, data, size, named ? &to : NULL);
	if (n < 0)
		return lua_push_error(L, errno == EAGAIN ? ETIMEDOUT : errno);
	lua_pushinteger(L, n);
	return 1;
}

/* name(fd, peer) -> address, port */
static int l_name(lua_State *L)
{
	char text[ADDR_TEXT];
	unsigned port;

	if (addr_of((int)luaL_checkinteger(L, 1), lua_toboolean(L, 2), text, &port) < 0)
		return lua_push_error(L, errno);
	lua_pushstring(L, text);
	lua_pushinteger(L, port);
	return 2;
}

static int l_close(lua_State *L)
{
	lua_pushboolean(L, close((int)luaL_checkinteger(L, 1)) == 0);
	return 1;
}

int luaopen_host_datagram(lua_State *L);

int luaopen_host_datagram(lua_State *L)
{
	static const luaL_Reg functions[] = {{"open", l_open}, {"connect", l_connect},
	    {"receive", l_receive}, {"send", l_send}, {"name", l_name}, {"close", l_close},
	    {NULL, NULL}};

	luaL_newlib(L, functions);
	return 1;
}
