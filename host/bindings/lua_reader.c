#include "bindings/lua_reader.h"

#include "base/failpoint.h"
#include "base/fd.h"
#include "proc/ipc.h"
#include "proc/settings.h"

#include <arpa/inet.h>
#include <errno.h>
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

static struct {
	struct lua_reader_args args;
	struct settings settings;
	bool has_settings;
	int bundle, faults; /* memfds */
} reader = {.bundle = -1, .faults = -1};

void lua_reader_init(const struct lua_reader_args *args)
{
	reader.args = *args;
}

/* ---- fields: the table is at index 1 ---- */

static int fail_field(lua_State *L, const char *key, const char *why)
{
	return luaL_error(L, "%s: %s", key, why); /* does not return */
}

static double lua_check_field(lua_State *L, const char *key, double low, double high)
{
	double value;

	lua_getfield(L, 1, key);
	if (!lua_isnumber(L, -1))
		fail_field(L, key, lua_isnil(L, -1) ? "missing" : "not a number");
	value = lua_tonumber(L, -1);
	if (!(value >= low && value <= high))
		luaL_error(L, "%s: %f is not between %f and %f", key, value, low, high);
	lua_pop(L, 1);
	return value;
}

static uint32_t lua_check_count(lua_State *L, const char *key, double high)
{
	double value = lua_check_field(L, key, 0, high);

	if (value != (double)(uint32_t)value)
		fail_field(L, key, "not a whole number");
	return (uint32_t)value;
}

static uint32_t lua_opt_id(lua_State *L, const char *key)
{
	bool none = lua_getfield(L, 1, key) == LUA_TNIL;

	lua_pop(L, 1);
	return none ? SETTINGS_NO_ID : lua_check_count(L, key, UINT32_MAX - 1.0);
}

static bool lua_opt_bool(lua_State *L, const char *key, bool missing)
{
	bool value = missing;

	if (lua_getfield(L, 1, key) != LUA_TNIL) {
		if (!lua_isboolean(L, -1))
			fail_field(L, key, "not true or false");
		value = lua_toboolean(L, -1);
	}
	lua_pop(L, 1);
	return value;
}

/* nil and false are "". */
static void lua_opt_path(lua_State *L, const char *key, char *to)
{
	size_t n = 0;
	const char *text = "";

	lua_getfield(L, 1, key);
	if (lua_type(L, -1) == LUA_TSTRING)
		text = lua_tolstring(L, -1, &n);
	else if (lua_toboolean(L, -1))
		fail_field(L, key, "not a path");
	if (n >= SETTINGS_PATH || strlen(text) != n)
		fail_field(L, key, "longer than 255 bytes, or with a NUL");
	memcpy(to, text, n + 1);
	lua_pop(L, 1);
}

static void lua_check_pair(lua_State *L, const char *key, double *a, double *b)
{
	if (lua_getfield(L, 1, key) != LUA_TTABLE)
		fail_field(L, key, "not a list of two numbers");
	lua_rawgeti(L, -1, 1);
	lua_rawgeti(L, -2, 2);
	if (!lua_isnumber(L, -1) || !lua_isnumber(L, -2))
		fail_field(L, key, "not a list of two numbers");
	*a = lua_tonumber(L, -2);
	*b = lua_tonumber(L, -1);
	lua_pop(L, 3);
}

static void lua_check_groups(lua_State *L, struct settings *s)
{
	if (lua_getfield(L, 1, "groups") == LUA_TNIL) {
		lua_pop(L, 1);
		return;
	}
	luaL_checktype(L, -1, LUA_TTABLE);
	if (lua_rawlen(L, -1) > SETTINGS_GROUPS)
		fail_field(L, "groups", "more than 64");
	for (lua_Unsigned i = 1; i <= lua_rawlen(L, -1); i++) {
		lua_rawgeti(L, -1, (lua_Integer)i);
		s->groups[s->ngroups++] = (uint32_t)luaL_checkinteger(L, -1);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
}

static uint8_t lua_check_verb(lua_State *L, int at)
{
	int verb = lua_type(L, at) == LUA_TSTRING ? host_verb_of(lua_tostring(L, at)) : -1;

	if (verb < 0 || verb >= VERB_ABORT)
		luaL_error(L, "signals: '%s' is not a verb", luaL_tolstring(L, at, NULL));
	return (uint8_t)verb;
}

/* { [signo] = verb | { [state] = verb } } */
static int lua_check_signals(lua_State *L, struct settings *s)
{
	if (lua_getfield(L, 1, "signals") != LUA_TTABLE)
		fail_field(L, "signals", "not a table");
	for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
		lua_Integer signo = lua_type(L, -2) == LUA_TNUMBER ? lua_tointeger(L, -2) : 0;

		if (signo < 1 || signo >= SETTINGS_SIGNALS)
			fail_field(L, "signals", "a key is not the number of a signal");
		if (!lua_istable(L, -1)) {
			memset(s->signals[signo], lua_check_verb(L, -1), HOST_STATES);
			continue;
		}
		for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
			int state = lua_type(L, -2) == LUA_TSTRING
					? host_state_of(lua_tostring(L, -2))
					: -1;

			if (state < 0)
				return fail_field(L, "signals", "not a state of the host");
			s->signals[signo][state] = lua_check_verb(L, -1);
		}
	}
	lua_pop(L, 1);
	return 0;
}

/* The list at the top of the stack has { interface, port } at `i`; "*" is every IPv4 address. */
static void lua_check_address(lua_State *L, lua_Integer i, union settings_address *a)
{
	const char *interface;
	lua_Integer port;

	lua_rawgeti(L, -1, i);
	luaL_checktype(L, -1, LUA_TTABLE);
	lua_getfield(L, -1, "interface");
	lua_getfield(L, -2, "port");
	interface = luaL_checkstring(L, -2);
	port = luaL_checkinteger(L, -1);
	if (strcmp(interface, "*") == 0)
		interface = "0.0.0.0";
	if (port < 1 || port > 65535)
		fail_field(L, "addresses", "not a port");
	if (inet_pton(AF_INET, interface, &a->v4.sin_addr) == 1)
		a->v4.sin_family = AF_INET;
	else if (inet_pton(AF_INET6, interface, &a->v6.sin6_addr) == 1)
		a->v6.sin6_family = AF_INET6;
	else
		fail_field(L, "addresses", "the interface is not an address");
	a->v4.sin_port = htons((uint16_t)port); /* at the same place in both kinds */
	lua_pop(L, 3);
}

static void lua_check_addresses(lua_State *L, struct settings *s)
{
	if (lua_getfield(L, 1, "addresses") == LUA_TNIL) {
		lua_pop(L, 1);
		return;
	}
	luaL_checktype(L, -1, LUA_TTABLE);
	if (lua_rawlen(L, -1) > SETTINGS_ADDRESSES)
		fail_field(L, "addresses", "more than 64");
	for (lua_Unsigned i = 1; i <= lua_rawlen(L, -1); i++)
		lua_check_address(L, (lua_Integer)i, &s->addresses[s->naddresses++]);
	lua_pop(L, 1);
}

static void lua_check_times(lua_State *L, struct settings *s)
{
	const double most = 1e9;
	double count;

	s->start_timeout = lua_check_field(L, "start_timeout", 0, most);
	s->worker_timeout = lua_check_field(L, "worker_timeout", -1, most);
	s->worker_heartbeat = lua_check_field(L, "worker_heartbeat", 0, most);
	s->hammer_time = lua_check_field(L, "hammer_time", -1, most);
	s->shutdown_timeout = lua_check_field(L, "shutdown_timeout", 0, most);
	s->orphan_timeout = lua_check_field(L, "orphan_timeout", 0, most);
	s->process_kill_timeout = lua_check_field(L, "process_kill_timeout", 0, most);
	s->upgrade_timeout = lua_check_field(L, "upgrade_timeout", 0, most);
	s->upgrade_probation = lua_check_field(L, "upgrade_probation", 0, most);
	lua_check_pair(L, "restart_backoff", &s->backoff_min, &s->backoff_max);
	lua_check_pair(L, "restart_limit", &count, &s->limit_seconds);
	if (!(count >= 1 && count <= SETTINGS_DEATHS))
		fail_field(L, "restart_limit", "the count is not between 1 and 16");
	s->limit_count = (uint32_t)count;
}

static int l_settings(lua_State *L)
{
	struct settings *s = &reader.settings;
	const char *why;

	luaL_checktype(L, 1, LUA_TTABLE);
	reader.has_settings = false;
	memset(s, 0, sizeof *s);
	s->magic = SETTINGS_MAGIC;
	s->size = sizeof *s;
	s->channels = IPC_VERSION;
	s->uid = lua_opt_id(L, "user_uid");
	s->gid = lua_opt_id(L, "user_gid");
	lua_check_groups(L, s);
	s->run_as_root = lua_opt_bool(L, "run_as_root", false);
	s->no_new_privs = lua_opt_bool(L, "no_new_privs", true);
	s->workers = lua_check_count(L, "workers", SETTINGS_WORKERS);
	s->umask = lua_check_count(L, "umask", 0777);
	lua_opt_path(L, "config_file", s->config_file);
	if (!s->config_file[0] && reader.args.config_file)
		snprintf(s->config_file, SETTINGS_PATH, "%s", reader.args.config_file);
	lua_opt_path(L, "pidfile", s->pidfile);
	lua_opt_path(L, "runtime_path", s->runtime_path);
	lua_opt_path(L, "data_path", s->data_path);
	lua_opt_path(L, "admin_socket", s->admin_socket);
	lua_opt_path(L, "upgrade_binary", s->upgrade_binary);
	s->max_generations = lua_check_count(L, "max_generations", SETTINGS_GENERATIONS);
	s->cap_refuses = lua_opt_bool(L, "cap_refuses", false);
	lua_check_times(L, s);
	lua_check_signals(L, s);
	lua_check_addresses(L, s);
	s->lua_memory_limit = (uint64_t)lua_check_field(L, "lua_memory_limit", 0, 1e15);
	why = settings_check(s);
	if (why)
		return luaL_error(L, "%s", why);
	reader.has_settings = true;
	lua_pushboolean(L, true);
	return 1;
}

static int keep_text(lua_State *L, const char *name, int *fd)
{
	size_t n;
	const char *text = luaL_checklstring(L, 1, &n);

	fd_close(fd);
	*fd = fd_memfd(name, text, n);
	if (*fd < 0) {
		luaL_pushfail(L);
		lua_pushstring(L, strerror(errno));
		lua_pushinteger(L, errno);
		return 3;
	}
	lua_pushboolean(L, true);
	return 1;
}

static int l_bundle(lua_State *L)
{
	return keep_text(L, "gadwall-bundle", &reader.bundle);
}

static int l_faults(lua_State *L)
{
	return keep_text(L, "gadwall-faults", &reader.faults);
}

int luaopen_host_reader(lua_State *L)
{
	static const luaL_Reg functions[] = {
	    {"settings", l_settings}, {"bundle", l_bundle}, {"faults", l_faults}, {NULL, NULL}};

	luaL_newlib(L, functions);
	lua_newtable(L);
	lua_pushstring(L, reader.args.config_file);
	lua_setfield(L, -2, "config_file");
	lua_pushboolean(L, reader.args.passive);
	lua_setfield(L, -2, "passive");
	lua_pushboolean(L, reader.args.for_reload);
	lua_setfield(L, -2, "for_reload");
	lua_setfield(L, -2, "args");
	return 1;
}

/* The keeper may be of the version before. */
static int say(int channel, struct ipc_message *m)
{
	m->header.version = IPC_VERSION_OLDEST;
	return ipc_send(channel, m);
}

static int send_faults(int channel)
{
	struct ipc_message m;

	ipc_pack(&m, IPC_FAULTS, 0, "d", reader.faults);
	return say(channel, &m);
}

int lua_reader_send(int channel)
{
	struct ipc_message m;
	int settings, sent;

	FAILPOINT("reader-send");
	if (reader.faults >= 0)
		return send_faults(channel);
	if (!reader.has_settings || reader.bundle < 0) {
		errno = ENODATA;
		return -1;
	}
	settings = fd_memfd("gadwall-settings", &reader.settings, sizeof reader.settings);
	if (settings < 0)
		return -1;
	ipc_pack(&m, IPC_SETTINGS, 0, "dd", settings, reader.bundle);
	sent = say(channel, &m);
	fd_close(&settings);
	return sent;
}
