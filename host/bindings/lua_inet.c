/* host.inet: addresses as text and as bytes, those of this machine (util.net). */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <lauxlib.h>
#include <lua.h>
#include <net/if.h>
#include <stdbool.h>
#include <string.h>

static int push_error(lua_State *L, int error)
{
	luaL_pushfail(L);
	lua_pushstring(L, strerror(error));
	return 2;
}

static int l_pton(lua_State *L)
{
	size_t n;
	const char *text = luaL_checklstring(L, 1, &n);
	int family = memchr(text, ':', n) ? AF_INET6 : AF_INET;
	unsigned char bytes[16];

	if (strlen(text) != n || inet_pton(family, text, bytes) != 1)
		return push_error(L, EINVAL);
	lua_pushlstring(L, (const char *)bytes, family == AF_INET6 ? 16 : 4);
	return 1;
}

static int l_ntop(lua_State *L)
{
	size_t n;
	const char *bytes = luaL_checklstring(L, 1, &n);
	char text[INET6_ADDRSTRLEN];

	if (n != 4 && n != 16)
		return push_error(L, EAFNOSUPPORT);
	if (!inet_ntop(n == 16 ? AF_INET6 : AF_INET, bytes, text, sizeof text))
		return push_error(L, errno);
	lua_pushstring(L, text);
	return 1;
}

/* The text of an interface's address, or NULL if it is not wanted. */
static const char *wanted(
    const struct ifaddrs *a, const bool families[2], bool link_local, char *text)
{
	union {
		const struct sockaddr *any;
		const struct sockaddr_in *v4;
		const struct sockaddr_in6 *v6;
	} sa = {a->ifa_addr};

	if (!sa.any || !(a->ifa_flags & IFF_UP) || a->ifa_flags & (IFF_LOOPBACK | IFF_POINTOPOINT))
		return NULL;
	if (sa.any->sa_family == AF_INET && families[0]) {
		bool is_link = (ntohl(sa.v4->sin_addr.s_addr) & 0xffff0000u) == 0xa9fe0000u;

		if (!is_link || link_local)
			return inet_ntop(AF_INET, &sa.v4->sin_addr, text, INET6_ADDRSTRLEN);
	}
	if (sa.any->sa_family == AF_INET6 && families[1]) {
		bool is_link = IN6_IS_ADDR_LINKLOCAL(&sa.v6->sin6_addr);

		if (!is_link || link_local)
			return inet_ntop(AF_INET6, &sa.v6->sin6_addr, text, INET6_ADDRSTRLEN);
	}
	return NULL;
}

/* local_addresses([type], [link_local]): into Lua's memory first, as nothing may raise while C
 * holds the kernel's list. */
static int l_local_addresses(lua_State *L)
{
	enum { MOST = 1024 };
	static const char *const types[] = {"both", "ipv4", "ipv6", NULL};
	int type = luaL_checkoption(L, 1, "both", types);
	const bool families[2] = {type != 2, type != 1};
	bool link_local = lua_toboolean(L, 2);
	char(*texts)[INET6_ADDRSTRLEN] = lua_newuserdatauv(L, sizeof *texts * MOST, 0);
	struct ifaddrs *list;
	int n = 0;

	if (getifaddrs(&list) < 0)
		return push_error(L, errno);
	for (const struct ifaddrs *a = list; a && n < MOST; a = a->ifa_next)
		n += wanted(a, families, link_local, texts[n]) != NULL;
	freeifaddrs(list);
	lua_createtable(L, n, 0);
	for (int i = 0; i < n; i++) {
		lua_pushstring(L, texts[i]);
		lua_rawseti(L, -2, i + 1);
	}
	return 1;
}

int luaopen_host_inet(lua_State *L);

int luaopen_host_inet(lua_State *L)
{
	static const luaL_Reg functions[] = {{"pton", l_pton}, {"ntop", l_ntop},
	    {"local_addresses", l_local_addresses}, {NULL, NULL}};

	luaL_newlib(L, functions);
	return 1;
}
