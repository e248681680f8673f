/* host.keeper.on: what the keeper says, as tables for the handlers in Lua. */
#include "bindings/lua_keeper.h"

#include "base/failpoint.h"
#include "bindings/lua_fields.h"
#include "bindings/lua_host.h"
#include "bindings/worker_channel.h"
#include "net/loop.h"

#include <lauxlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TEXT_LIMIT = 64 * 1024, BLOB_LIMIT = 256 * 1024 * 1024 };

static const struct worker_channel *const c = &worker_channel;
static int handlers = LUA_NOREF; /* table: what -> function */

bool lua_keeper_push_text(lua_State *L, int fd, size_t limit)
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
	lua_set_integer(L, "signal", signo);
	if (word)
		lua_pushfstring(L, "SIG%s", word);
	else
		lua_pushfstring(L, "SIG%d", (int)signo);
	lua_setfield(L, -2, "name");
	lua_set_string(L, "verb", verb);
	lua_set_string(L, "state", state);
	lua_set_integer(L, "sender", sender);
	return "signal";
}

static const char *fill_verb(lua_State *L, struct ipc_message *m)
{
	char verb[32], origin[64], text[IPC_TEXT_MAX + 1];
	uint32_t forced;

	if (!ipc_unpack(
		m, "suss", verb, sizeof verb, &forced, origin, sizeof origin, text, sizeof text))
		return NULL;
	lua_set_string(L, "verb", verb);
	lua_set_bool(L, "forced", forced != 0);
	lua_set_string(L, "origin", origin);
	lua_set_string(L, "text", text);
	return "verb";
}

static const char *fill_result(lua_State *L, struct ipc_message *m)
{
	char text[IPC_TEXT_MAX + 1];
	uint32_t ok;

	if (!ipc_unpack(m, "us", &ok, text, sizeof text))
		return NULL;
	lua_set_bool(L, "ok", ok != 0);
	lua_set_string(L, "text", text);
	if (m->nfds > 0 && lua_keeper_push_text(L, m->fds[0], TEXT_LIMIT))
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
	lua_set_integer(L, "generation", generation);
	lua_set_integer(L, "worker", worker);
	lua_set_string(L, "event", event);
	if (status != UINT32_MAX) /* of one that the keeper could not wait for */
		lua_set_integer(L, "exit", status);
	if (signo)
		lua_set_integer(L, "signal", signo);
	lua_set_integer(L, "restarts", restarts);
	return "worker";
}

static const char *fill_commit(lua_State *L, struct ipc_message *m)
{
	char step[32];
	uint32_t other;

	if (!ipc_unpack(m, "su", step, sizeof step, &other))
		return NULL;
	lua_set_string(L, "step", step);
	lua_set_integer(L, "generation", other);
	if (m->nfds > 0 && lua_keeper_push_text(L, m->fds[0], BLOB_LIMIT))
		lua_setfield(L, -2, "text");
	return "commit";
}

static const char *fill_upgrade(lua_State *L, struct ipc_message *m)
{
	char state[32], outcome[32], at_state[32], reason[IPC_TEXT_MAX + 1];
	uint32_t from, target, committed, failed, rolled_back;
	double seconds, left, when, took, pause;

	if (!ipc_unpack(m, "suuffsssfffuuu", state, sizeof state, &from, &target, &seconds, &left,
		outcome, sizeof outcome, at_state, sizeof at_state, reason, sizeof reason, &when,
		&took, &pause, &committed, &failed, &rolled_back))
		return NULL;
	lua_set_string(L, "state", state);
	lua_set_integer(L, "from", from);
	lua_set_integer(L, "target", target);
	lua_set_number(L, "seconds", seconds);
	lua_set_number(L, "left", left);
	lua_set_string(L, "outcome", outcome);
	lua_set_string(L, "at_state", at_state);
	lua_set_string(L, "reason", reason);
	lua_set_number(L, "ended", when);
	lua_set_number(L, "took", took);
	lua_set_number(L, "pause", pause);
	lua_set_integer(L, "committed", committed);
	lua_set_integer(L, "failed", failed);
	lua_set_integer(L, "rolled_back", rolled_back);
	return "upgrade";
}

/* Leaves the message's table on the stack; its name for on(), or NULL for what Lua does not hear.
 */
static const char *fill(lua_State *L, struct ipc_message *m)
{
	lua_newtable(L);
	if (!m)
		return "lost";
	lua_set_integer(L, "id", m->header.id);
	switch ((enum ipc_type)m->header.type) {
	case IPC_SIGNAL: return fill_signal(L, m);
	case IPC_VERB: return fill_verb(L, m);
	case IPC_RESULT: return fill_result(L, m);
	case IPC_EVENT: return fill_event(L, m);
	case IPC_BUNDLE: return "bundle";
	case IPC_COMMIT: return fill_commit(L, m);
	case IPC_UPGRADE: return fill_upgrade(L, m);
	case IPC_ADOPTED: lua_set_integer(L, "keeper_pid", c->keeper_pid); return "regained";
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

	lua_check_handler(L, handlers, names);
	return 0;
}

void lua_keeper_open_heard(lua_State *L)
{
	lua_pushcfunction(L, l_on);
	lua_setfield(L, -2, "on");
	if (handlers == LUA_NOREF) {
		lua_newtable(L);
		handlers = luaL_ref(L, LUA_REGISTRYINDEX);
	}
	worker_channel.on_message = on_message;
}
