/* host.edit: reading lines from a person at a terminal, on libedit's el_* interface.
 *
 * One editor for the process, made at the first readline. Ctrl-C ends the line that is being typed
 * and nothing else: the handler only sets a flag, and because it is installed without SA_RESTART
 * the read below (and host.sys.wait elsewhere) comes back with EINTR. */
#include "bindings/lua_host.h"
#include "bindings/lua_open.h"

#include <errno.h>
#include <histedit.h>
#include <lauxlib.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int luaopen_host_edit(lua_State *L);

enum { HISTORY_LINES = 1000, PROMPT_MAX = 128, COLUMNS = 80 };

static struct {
	EditLine *line;
	History *history;
	lua_State *L;  /* whose completer is called; set for the time of one readline */
	int completer; /* registry reference */
	char prompt[PROMPT_MAX];
	mbstate_t decoding;
} edit = {.completer = LUA_NOREF};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signo)
{
	(void)signo;
	interrupted = 1;
}

/* The editor's source of characters: one from the terminal; 0 at the end, -1 on Ctrl-C or error. */
static int next_char(EditLine *el, wchar_t *out)
{
	char c;

	(void)el;
	for (;;) {
		ssize_t n = interrupted ? -1 : read(STDIN_FILENO, &c, 1);

		if (n == 0)
			return 0;
		if (n < 0 && !interrupted && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		switch (mbrtowc(out, &c, 1, &edit.decoding)) {
		case (size_t)-2: continue; /* more bytes of this character to come */
		case (size_t)-1: memset(&edit.decoding, 0, sizeof edit.decoding); continue;
		default: return 1;
		}
	}
}

static char *prompt(EditLine *el)
{
	(void)el;
	return edit.prompt;
}

/* ---- completion ---- */

/* Length of the longest prefix that all strings of the list on the stack's top share. */
static size_t common_prefix(lua_State *L, int count)
{
	size_t n = 0;

	for (int i = 1; i <= count; i++) {
		size_t k = 0;
		const char *first, *other;

		lua_rawgeti(L, -1, 1);
		lua_rawgeti(L, -2, i);
		first = lua_tostring(L, -2);
		other = lua_tostring(L, -1);
		while (first[k] && first[k] == other[k])
			k++;
		lua_pop(L, 2);
		n = i == 1 || k < n ? k : n;
	}
	return n;
}

static void print_candidates(lua_State *L, int count)
{
	size_t widest = 1, at = 0;

	for (int i = 1; i <= count; i++, lua_pop(L, 1)) {
		lua_rawgeti(L, -1, i);
		if (lua_rawlen(L, -1) > widest)
			widest = lua_rawlen(L, -1);
	}
	fputc('\n', stdout);
	for (int i = 1; i <= count; i++, lua_pop(L, 1)) {
		lua_rawgeti(L, -1, i);
		at += (size_t)fprintf(stdout, "%-*s  ", (int)widest, lua_tostring(L, -1));
		if (at + widest + 2 > COLUMNS || i == count) {
			fputc('\n', stdout);
			at = 0;
		}
	}
	fflush(stdout);
}

/* Strings only, or the functions above would read NULL. */
static int checked_count(lua_State *L)
{
	int count = lua_istable(L, -1) ? (int)lua_rawlen(L, -1) : 0;

	for (int i = 1; i <= count; i++) {
		lua_rawgeti(L, -1, i);
		if (lua_type(L, -1) != LUA_TSTRING)
			count = 0;
		lua_pop(L, 1);
	}
	return count;
}

/* Inserts what all candidates share beyond the word before the cursor. */
static unsigned char offer(EditLine *el, size_t word)
{
	lua_State *L = edit.L;
	int count = checked_count(L);
	size_t shared = count > 0 ? common_prefix(L, count) : 0;
	char text[256];

	if (count == 0)
		return CC_REFRESH_BEEP;
	if (shared > word && shared - word < sizeof text - 2) {
		lua_rawgeti(L, -1, 1);
		memcpy(text, lua_tostring(L, -1) + word, shared - word);
		lua_pop(L, 1);
		text[shared - word] = count == 1 ? ' ' : 0;
		text[shared - word + 1] = 0;
		el_insertstr(el, text);
		return CC_REFRESH;
	}
	if (count == 1) {
		el_insertstr(el, " ");
		return CC_REFRESH;
	}
	print_candidates(L, count);
	return CC_REDISPLAY;
}

static unsigned char on_tab(EditLine *el, int ch)
{
	const LineInfo *at = el_line(el);
	lua_State *L = edit.L;
	int top = lua_gettop(L);
	unsigned char result = CC_ERROR;
	const char *word = at->cursor;

	(void)ch;
	if (edit.completer == LUA_NOREF || !lua_checkstack(L, 8))
		return CC_ERROR;
	while (word > at->buffer && word[-1] != ' ')
		word--;
	lua_rawgeti(L, LUA_REGISTRYINDEX, edit.completer);
	lua_pushlstring(L, at->buffer, (size_t)(at->lastchar - at->buffer));
	lua_pushinteger(L, at->cursor - at->buffer);
	if (lua_host_call(L, 2, 1))
		result = offer(el, (size_t)(at->cursor - word));
	lua_settop(L, top);
	return result;
}

/* ---- the functions of the table ---- */

static bool make_history(void)
{
	HistEvent e;

	if (!edit.history) {
		edit.history = history_init();
		if (!edit.history)
			return false;
		history(edit.history, &e, H_SETSIZE, HISTORY_LINES);
		history(edit.history, &e, H_SETUNIQUE, 1);
	}
	return true;
}

static bool make_editor(void)
{
	struct sigaction sa = {.sa_handler = on_interrupt};

	if (edit.line)
		return true;
	if (!make_history())
		return false;
	setlocale(LC_CTYPE, "");
	sigaction(SIGINT, &sa, NULL);
	edit.line = el_init("gadwall", stdin, stdout, stderr);
	if (!edit.line)
		return false;
	el_set(edit.line, EL_PROMPT, prompt);
	el_set(edit.line, EL_EDITOR, "emacs");
	el_set(edit.line, EL_SIGNAL, 0);
	el_set(edit.line, EL_HIST, history, edit.history);
	el_set(edit.line, EL_GETCFN, next_char);
	/* el_set copies these two and never frees them */
	el_wset(edit.line, EL_ADDFN, L"complete-word", L"complete from the server", on_tab);
	el_set(edit.line, EL_BIND, "^I", "complete-word", NULL);
	el_set(edit.line, EL_BIND, "^R", "em-inc-search-prev", NULL);
	el_source(edit.line, NULL);
	return true;
}

/* readline(prompt) -> line | nil at the end of input | false, "interrupted" */
static int l_edit_readline(lua_State *L)
{
	const char *text = luaL_optstring(L, 1, "> "), *line;
	int count = 0;

	if (!make_editor())
		return luaL_error(L, "cannot make a line editor");
	strncpy(edit.prompt, text, PROMPT_MAX - 1);
	edit.L = L;
	interrupted = 0;
	line = el_gets(edit.line, &count);
	edit.L = NULL;
	if (interrupted) {
		interrupted = 0;
		el_reset(edit.line);
		fputs("^C\n", stdout);
		fflush(stdout);
		lua_pushboolean(L, 0);
		lua_pushliteral(L, "interrupted");
		return 2;
	}
	if (!line || count <= 0) {
		luaL_pushfail(L);
		return 1;
	}
	lua_pushlstring(L, line, (size_t)count - (line[count - 1] == '\n'));
	return 1;
}

static int l_edit_history_add(lua_State *L)
{
	HistEvent e;
	const char *line = luaL_checkstring(L, 1);

	lua_pushboolean(L, make_history() && history(edit.history, &e, H_ENTER, line) >= 0);
	return 1;
}

static int l_edit_history_load(lua_State *L)
{
	HistEvent e;
	const char *path = luaL_checkstring(L, 1);

	lua_pushboolean(L, make_history() && history(edit.history, &e, H_LOAD, path) >= 0);
	return 1;
}

/* What an operator typed is nobody else's business: mode 0600 from the first byte. */
static int l_edit_history_save(lua_State *L)
{
	HistEvent e;
	const char *path = luaL_checkstring(L, 1);
	mode_t old = umask(077);

	lua_pushboolean(L, make_history() && history(edit.history, &e, H_SAVE, path) >= 0);
	umask(old);
	return 1;
}

static int l_edit_completer(lua_State *L)
{
	luaL_unref(L, LUA_REGISTRYINDEX, edit.completer);
	edit.completer = LUA_NOREF;
	if (lua_isnoneornil(L, 1))
		return 0;
	luaL_checktype(L, 1, LUA_TFUNCTION);
	lua_settop(L, 1);
	edit.completer = luaL_ref(L, LUA_REGISTRYINDEX);
	return 0;
}

/* close(): gives the terminal back; the history is forgotten. */
static int l_edit_close(lua_State *L)
{
	luaL_unref(L, LUA_REGISTRYINDEX, edit.completer);
	edit.completer = LUA_NOREF;
	if (edit.line)
		el_end(edit.line);
	if (edit.history)
		history_end(edit.history);
	edit.line = NULL;
	edit.history = NULL;
	return 0;
}

int luaopen_host_edit(lua_State *L)
{
	static const luaL_Reg functions[] = {{"readline", l_edit_readline},
	    {"history_add", l_edit_history_add}, {"history_load", l_edit_history_load},
	    {"history_save", l_edit_history_save}, {"completer", l_edit_completer},
	    {"close", l_edit_close}, {NULL, NULL}};

	lua_check_library(L, "edit");
	luaL_newlib(L, functions);
	return 1;
}
