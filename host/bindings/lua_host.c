#include "bindings/lua_host.h"

#include "base/embedded.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/slab.h"
#include "bindings/lua_guard.h"
#include "bindings/lua_open.h"

#include <lauxlib.h>
#include <limits.h>
#include <lualib.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_SOFTWARE_FAULT = 70, START_KIB = 8 * 1024 };

static struct {
	lua_State *L;
	size_t used, limit;
	struct lua_host_info info;
} host;

/* ---- state ---- */

static void *allocate(void *data, void *block, size_t old, size_t size)
{
	size_t had = block ? old : 0; /* for a new block `old` is a type tag */
	void *p;

	(void)data;
	if (size == 0) {
		if (block)
			slab_free(block, old);
		host.used -= had;
		return NULL;
	}
	if (size > had && host.limit && host.used - had + size > host.limit)
		return NULL; /* Lua collects, tries again, then raises "not enough memory" */
	p = block ? slab_resize(block, old, size) : slab_new(size);
	if (p)
		host.used = host.used - had + size;
	return p;
}

static int on_panic(lua_State *L)
{
	log_error("Lua error outside a protected call: %s", lua_tostring(L, -1));
	abort();
}

static void on_warning(void *data, const char *message, int more)
{
	(void)data;
	(void)more;
	log_warn("Lua: %s", message);
}

static void preload(lua_State *L)
{
	luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
	luaL_setfuncs(L, lua_open_host, 0);
	lua_pop(L, 1);
}

static int l_setup(lua_State *L)
{
	lua_pushboolean(L, 1); /* the environment's LUA_PATH, LUA_INIT … are not ours */
	lua_setfield(L, LUA_REGISTRYINDEX, "LUA_NOENV");
	luaL_openlibs(L);
	/* What the runtime makes when it loads stays: no cycle before so many bytes. */
	lua_gc(L, LUA_GCSTEP, -START_KIB);
	guard_track_coroutines(L);
	preload(L);
	return 0;
}

lua_State *lua_host_new(const struct lua_host_info *info, size_t memory)
{
	host.info = *info;
	host.limit = 0;
	host.L = lua_newstate(allocate, NULL);
	if (!host.L)
		return NULL;
	lua_atpanic(host.L, on_panic);
	lua_setwarnf(host.L, on_warning, NULL);
	lua_pushcfunction(host.L, l_setup);
	if (!lua_host_call_logged(host.L, 0, 0, "setting up Lua")) {
		lua_host_free(&host.L);
		return NULL;
	}
	host.limit = memory;
	return host.L;
}

void lua_host_free(lua_State **L)
{
	log_sink(NULL, NULL); /* nothing is logged through a state that closes */
	if (*L)
		lua_close(*L);
	*L = NULL;
	host.L = NULL;
}

lua_State *lua_host_state(void)
{
	return host.L;
}

size_t lua_host_bytes(void)
{
	return host.used;
}

bool lua_host_room(size_t n)
{
	enum { SPARE = 16384 };

	if (!host.limit || host.used + n + SPARE <= host.limit)
		return true;
	lua_gc(host.L, LUA_GCCOLLECT);
	return host.used + n + SPARE <= host.limit;
}

void lua_host_memory(size_t limit)
{
	host.limit = limit;
}

void lua_host_limits(double slow, double timeout)
{
	guard_limits(slow, timeout);
}

/* ---- calls ---- */

static int add_traceback(lua_State *L)
{
	const char *message = lua_tostring(L, 1);

	if (!message) /* an object: its own words if it has some */
		message = luaL_tolstring(L, 1, NULL);
	luaL_traceback(L, L, message, 1);
	return 1;
}

static bool protected_call(lua_State *L, int nargs, int nresults)
{
	int base = lua_gettop(L) - nargs, status;

	lua_pushcfunction(L, add_traceback);
	lua_insert(L, base);
	status = lua_pcall(L, nargs, nresults, base);
	lua_remove(L, base);
	return status == LUA_OK;
}

bool lua_host_call(lua_State *L, int nargs, int nresults)
{
	lua_State *previous = guard_enter(L);
	bool ok = protected_call(L, nargs, nresults);

	guard_leave(L, previous);
	return ok;
}

bool lua_host_call_each(lua_State *L, lua_CFunction fn, void *data)
{
	lua_State *previous = guard_running();
	int depth = guard_depth();
	bool ok;

	lua_pushcfunction(L, fn);
	lua_pushlightuserdata(L, data);
	ok = protected_call(L, 1, 0);
	if (!ok)
		guard_unwind(L, previous, depth);
	return ok;
}

void lua_host_push_handler(lua_State *L)
{
	lua_pushcfunction(L, add_traceback);
}

bool lua_host_call_above(lua_State *L, int nargs, int nresults)
{
	lua_State *previous = guard_enter(L);
	int status = lua_pcall(L, nargs, nresults, -nargs - 2);

	guard_leave(L, previous);
	if (status != LUA_OK)
		lua_remove(L, -2);
	else if (nresults == 0)
		lua_pop(L, 1);
	else
		lua_remove(L, -nresults - 1);
	return status == LUA_OK;
}

bool lua_host_call_logged(lua_State *L, int nargs, int nresults, const char *what)
{
	const char *message;

	if (lua_host_call(L, nargs, nresults))
		return true;
	message = lua_tostring(L, -1);
	log_error("Error %s: %s", what, message ? message : "(an error without words)");
	lua_pop(L, 1);
	return false;
}

static int by_name(const void *name, const void *file)
{
	return strcmp(name, ((const struct embedded_file *)file)->name);
}

static const struct embedded_file *find_embedded(const char *name)
{
	return bsearch(name, embedded_files, embedded_count, sizeof *embedded_files, by_name);
}

/* Pushes its chunk, or what is wrong with it. Bytecode loads in a fifth of the time that text is
 * compiled in; it is only for the Lua that wrote it: a shared library may have become another. */
static int load_embedded(lua_State *L, const struct embedded_file *f, const char *chunk)
{
	if (strcmp(embedded_lua, lua_ident) == 0)
		return luaL_loadbufferx(L, f->code, (size_t)(f->code_end - f->code), chunk, "b");
	return luaL_loadbufferx(L, f->text, (size_t)(f->end - f->text), chunk, "t");
}

/* GADWALL_LUA=DIR replaces the embedded runtime, for development; never for root, but in test
 * builds. */
static const char *lua_folder(void)
{
	const char *dir = getenv("GADWALL_LUA");

	if (!dir || (geteuid() == 0 && !failpoint_enabled()))
		return NULL;
	return dir;
}

static int load_boot(lua_State *L)
{
	const struct embedded_file *f = find_embedded("boot");
	const char *dir = lua_folder();
	char path[PATH_MAX];

	if (dir) {
		snprintf(path, sizeof path, "%s/boot.lua", dir);
		return luaL_loadfilex(L, path, "t");
	}
	if (!f) {
		lua_pushliteral(L, "boot.lua is not in this binary");
		return LUA_ERRFILE;
	}
	return load_embedded(L, f, "=boot.lua");
}

int lua_host_boot(lua_State *L, const char *role, int argc, char *const argv[])
{
	int code;

	if (load_boot(L) != LUA_OK) {
		log_error("cannot load the runtime: %s", lua_tostring(L, -1));
		return EXIT_SOFTWARE_FAULT;
	}
	luaL_checkstack(L, argc + 4, "too many arguments");
	lua_pushstring(L, role);
	for (int i = 0; i < argc; i++)
		lua_pushstring(L, argv[i]);
	/* Not a callback: it holds the loop, and has deadlines of its own (start_timeout). */
	if (!protected_call(L, argc + 1, 1)) {
		log_error("Error in boot.lua: %s", lua_tostring(L, -1));
		return EXIT_SOFTWARE_FAULT;
	}
	code = (int)lua_tointeger(L, -1);
	lua_pop(L, 1);
	return code;
}

/* ---- log lines of the C side ---- */

static int log_init = LUA_NOREF; /* util.logger's init */

struct line {
	const char *level, *message;
};

static int l_write_line(lua_State *L)
{
	const struct line *line = lua_touserdata(L, 1);

	lua_rawgeti(L, LUA_REGISTRYINDEX, log_init);
	lua_pushliteral(L, "host");
	lua_call(L, 1, 1); /* under lua_host_call */
	lua_pushstring(L, line->level);
	lua_pushliteral(L, "%s");
	lua_pushstring(L, line->message); /* .. log level format message */
	lua_call(L, 3, 0);                /* under lua_host_call */
	return 0;
}

/* What C has to say goes where the config's `log` says; to stderr while Lua is in the middle of
 * something, or when its logger fails. */
static bool to_logger(void *data, enum log_level level, const char *message)
{
	static const char *const words[] = {"debug", "info", "warn", "error"};
	struct line line = {words[level], message};
	lua_State *L = lua_host_state();
	static bool busy;
	bool ok;

	(void)data;
	if (!L || busy || !guard_is_idle() || !lua_checkstack(L, 8))
		return false;
	busy = true;
	lua_pushcfunction(L, l_write_line);
	lua_pushlightuserdata(L, &line);
	ok = lua_host_call(L, 1, 0);
	if (!ok)
		lua_pop(L, 1);
	busy = false;
	return ok;
}

static int l_log_to(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TFUNCTION);
	lua_settop(L, 1);
	luaL_unref(L, LUA_REGISTRYINDEX, log_init);
	log_init = luaL_ref(L, LUA_REGISTRYINDEX);
	log_sink(to_logger, NULL);
	return 0;
}

/* ---- host.info ---- */

static void parent(char *path)
{
	char *slash = strrchr(path, '/');

	if (slash)
		*(slash == path ? slash + 1 : slash) = '\0';
}

static bool is_checkout(char *root)
{
	char probe[PATH_MAX + 32];

	for (int up = 0; up < 2; up++) { /* build/gadwall, or build/VARIANT/gadwall */
		snprintf(probe, sizeof probe, "%s/host/lua/boot.lua", root);
		if (access(probe, R_OK) == 0)
			return true;
		parent(root);
	}
	return false;
}

int lua_host_locate(struct lua_host_info *info, const char *role)
{
	static char binary[PATH_MAX], root[PATH_MAX];
	static const char gone[] = " (deleted)";
	ssize_t n = readlink("/proc/self/exe", binary, sizeof binary - 1);
	char *tail;

	if (n < 0)
		return -1;
	binary[n] = '\0';
	tail = strstr(binary, gone);
	if (tail && tail[sizeof gone - 1] == '\0')
		*tail = '\0';
	memcpy(root, binary, sizeof root);
	parent(root);
	parent(root);
	info->checkout = is_checkout(root);
	if (!info->checkout) {
		memcpy(root, binary, sizeof root);
		parent(root);
		parent(root);
	}
	info->role = role;
	info->root = root;
	info->binary = binary;
	return 0;
}

/* load_embedded(name, chunkname) -> function; nil: there is no such file. */
static int l_load_embedded(lua_State *L)
{
	const struct embedded_file *f = find_embedded(luaL_checkstring(L, 1));

	if (!f)
		return 0;
	if (load_embedded(L, f, luaL_checkstring(L, 2)) != LUA_OK)
		return lua_error(L);
	return 1;
}

static int l_embedded_names(lua_State *L)
{
	lua_newtable(L);
	for (size_t i = 0; i < embedded_count; i++) {
		lua_pushstring(L, embedded_files[i].name);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	return 1;
}

static void push_failpoints(lua_State *L)
{
	lua_newtable(L);
	for (int i = 0; failpoint_names[i]; i++) {
		lua_pushstring(L, failpoint_names[i]);
		lua_rawseti(L, -2, i + 1);
	}
}

int luaopen_host_info(lua_State *L)
{
	static const luaL_Reg functions[] = {{"load_embedded", l_load_embedded},
	    {"embedded_names", l_embedded_names}, {"log_to", l_log_to}, {NULL, NULL}};

	luaL_newlib(L, functions);
	lua_pushliteral(L, GADWALL_VERSION);
	lua_setfield(L, -2, "version");
	lua_pushstring(L, host.info.role);
	lua_setfield(L, -2, "role");
	lua_pushstring(L, host.info.root);
	lua_setfield(L, -2, "root");
	lua_pushstring(L, host.info.binary);
	lua_setfield(L, -2, "binary");
	lua_pushboolean(L, host.info.checkout);
	lua_setfield(L, -2, "checkout");
	lua_pushfstring(
	    L, "%s/%s", host.info.root, host.info.checkout ? "modules" : "lib/gadwall/modules");
	lua_setfield(L, -2, "modules");
	lua_pushstring(L, lua_folder());
	lua_setfield(L, -2, "lua_folder");
	lua_pushboolean(L, failpoint_enabled());
	lua_setfield(L, -2, "failpoints");
	push_failpoints(L);
	lua_setfield(L, -2, "failpoint_names");
	return 1;
}
