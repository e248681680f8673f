/* Answers of host.http: the head is put together in one block, checked as it goes in, and written
 * with the body in one go. */
#include "bindings/lua_http.h"
#include "bindings/lua_net.h"

#include <errno.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* One block for the process: it is empty again before anything else can run, also after an error.
 */
static struct {
	char *data;
	size_t len, cap;
} block;

static void grow(lua_State *L, size_t n)
{
	size_t cap = block.cap ? block.cap : 4096;
	char *bigger;

	while (cap < block.len + n)
		cap *= 2;
	bigger = realloc(block.data, cap);
	if (!bigger) {
		luaL_error(L, "out of memory");
		return;
	}
	block.data = bigger;
	block.cap = cap;
}

/* Room for n bytes more; they are there once block.len says so. */
static inline char *room(lua_State *L, size_t n)
{
	if (n > block.cap - block.len)
		grow(L, n);
	return block.data + block.len;
}

static inline void add(lua_State *L, const char *at, size_t n)
{
	memcpy(room(L, n), at, n);
	block.len += n;
}

/* ---- parts of the head ---- */

static bool is_word(unsigned c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_token(unsigned c)
{
	return is_word(c) || (c && strchr("!#$%&'*+-.^_`|~", (int)c));
}

/* A byte of a header's name: what it goes out as at the begin of a word and within one (0: it may
 * not stand there), and whether a word begins behind it. */
static struct name_byte {
	unsigned char at_begin, within;
	bool ends_word;
} name_bytes[256];

static void make_name_bytes(void)
{
	for (unsigned c = 0; c < 256; c++) {
		struct name_byte *b = &name_bytes[c];

		b->within = (unsigned char)(!is_token(c) ? 0 : c == '_' ? '-' : c);
		b->at_begin = (unsigned char)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : b->within);
		b->ends_word = !is_word(c);
	}
}

/* "content_type" goes out as "Content-Type". */
static void add_name(lua_State *L, const char *at, size_t n)
{
	unsigned char *out = (unsigned char *)room(L, n);
	bool begins = true;

	for (const char *end = at + n, *c = at; c < end; c++, out++) {
		const struct name_byte *b = &name_bytes[(unsigned char)*c];

		*out = begins ? b->at_begin : b->within;
		if (!*out)
			luaL_error(L, "header name '%s' is no token", at);
		begins = b->ends_word;
	}
	if (!n)
		luaL_error(L, "header without a name");
	block.len += n;
	add(L, ": ", 2);
}

enum { NAMES = 64, NAME_MOST = 30 };

/* Names that went out, as they came from Lua and as they go: a service has few, and to put one
 * together takes three times as long. */
static struct name {
	uint8_t n;
	char lua[NAME_MOST], line[NAME_MOST + 2];
} names[NAMES];

static size_t slot_of(const unsigned char *at, size_t n)
{
	return (n ^ at[0] ^ (size_t)at[3 * n / 4] << 2 ^ (size_t)at[n - 1] << 1) % NAMES;
}

/* The name with ": " behind it. */
static void add_known_name(lua_State *L, const char *at, size_t n)
{
	struct name *name;

	if (!n || n > NAME_MOST) {
		add_name(L, at, n);
		return;
	}
	name = &names[slot_of((const unsigned char *)at, n)];
	if (name->n != n || memcmp(name->lua, at, n) != 0) {
		size_t from = block.len;

		add_name(L, at, n);
		memcpy(name->lua, at, n);
		memcpy(name->line, block.data + from, n + 2);
		name->n = (uint8_t)n;
		return;
	}
	add(L, name->line, n + 2);
}

/* RFC 9110 5.5: no controls but the tab; a line end would begin another header. */
static void add_value(lua_State *L, const char *name, const char *at, size_t n)
{
	for (size_t i = http_plain_text(at, n); i < n; i++) {
		unsigned char c = (unsigned char)at[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			luaL_error(L, "the value of header '%s' has a control character", name);
	}
	add(L, at, n);
	add(L, "\r\n", 2);
}

static void add_date(lua_State *L)
{
	static char line[48];
	static size_t length;
	static time_t made;
	time_t now = time(NULL);
	struct tm tm;

	if (now != made) {
		gmtime_r(&now, &tm);
		length = strftime(line, sizeof line, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
		made = now;
	}
	add(L, line, length);
}

static void add_length(lua_State *L, lua_Unsigned n)
{
	char digits[24], *at = digits + sizeof digits;

	do {
		*--at = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	add(L, "Content-Length: ", 16);
	add(L, at, (size_t)(digits + sizeof digits - at));
	add(L, "\r\n", 2);
}

enum seen { SEEN_DATE = 1, SEEN_CONNECTION = 2, SEEN_LENGTH = 4, SEEN_ENCODING = 8 };

static unsigned note(const char *name, size_t n)
{
	if (n == 4 && memcmp(name, "date", 4) == 0)
		return SEEN_DATE;
	if (n == 10 && memcmp(name, "connection", 10) == 0)
		return SEEN_CONNECTION;
	if (n == 14 && (name[7] == '_' || name[7] == '-') && memcmp(name, "content", 7) == 0 &&
	    memcmp(name + 8, "length", 6) == 0)
		return SEEN_LENGTH;
	if (n == 17 && (name[8] == '_' || name[8] == '-') && memcmp(name, "transfer", 8) == 0 &&
	    memcmp(name + 9, "encoding", 8) == 0)
		return SEEN_ENCODING;
	return 0;
}

/* One header of the table; a list is several lines. */
static void add_header(lua_State *L, const char *name, size_t n)
{
	size_t length;
	const char *value;

	if (lua_istable(L, -1)) {
		for (lua_Integer i = 1; lua_rawgeti(L, -1, i) != LUA_TNIL; i++) {
			add_known_name(L, name, n);
			value = luaL_tolstring(L, -1, &length);
			add_value(L, name, value, length);
			lua_pop(L, 2);
		}
		lua_pop(L, 1);
		return;
	}
	value = lua_tolstring(L, -1, &length);
	if (!value) {
		luaL_error(L, "the value of header '%s' is a %s", name, luaL_typename(L, -1));
		return;
	}
	add_known_name(L, name, n);
	add_value(L, name, value, length);
}

static unsigned add_headers(lua_State *L, int index)
{
	unsigned seen = 0;

	if (!lua_istable(L, index))
		return 0;
	lua_pushnil(L);
	while (lua_next(L, index)) {
		size_t n;
		const char *name;

		if (lua_type(L, -2) != LUA_TSTRING)
			luaL_error(L, "a header's name is a %s", luaL_typename(L, -2));
		name = lua_tolstring(L, -2, &n);
		seen |= note(name, n);
		add_header(L, name, n); /* a number is converted in place, the table's stays */
		lua_pop(L, 1);
	}
	return seen;
}

/* ---- writing ---- */

/* The connection behind the value, if nobody put another write in its place. */
static struct lua_conn *plain_conn(lua_State *L, int index)
{
	struct lua_handle *h = lua_touserdata(L, index);
	bool replaced = false;

	if (!h || lua_rawlen(L, index) < sizeof(struct lua_conn) || h->kind != LUA_HANDLE_CONN)
		return NULL;
	if (h->fields && lua_getiuservalue(L, index, 1) == LUA_TTABLE) {
		lua_pushliteral(L, "write");
		replaced = lua_rawget(L, -2) != LUA_TNIL;
		lua_pop(L, 2);
	}
	return replaced ? NULL : (struct lua_conn *)h;
}

/* Writes the head in the block, and the text at `body` (or nil) behind it. */
static bool write_both(lua_State *L, struct lua_conn *lc, int body)
{
	enum { SMALL = 4096 }; /* copied once more it costs less than another write */
	size_t n;
	const char *text = luaL_optlstring(L, body, "", &n);
	lua_State *before;
	int r;

	if (n <= SMALL) {
		add(L, text, n);
		n = 0;
	}
	before = lua_handle_enter(L);
	r = conn_write(&lc->c, block.data, block.len);
	if (r == 0 && n)
		r = conn_write(&lc->c, text, n);
	lua_handle_enter(before);
	return r == 0;
}

/* Writes the head in the block to the connection at 1, and the text at `body` (or nil). Pushes
 * true; or the whole text, if it is no plain connection; or false when it takes nothing. */
static int write_block(lua_State *L, int body)
{
	struct lua_conn *lc = plain_conn(L, 1);

	if (!lc) {
		size_t n;
		const char *text = luaL_optlstring(L, body, "", &n);

		lua_pushlstring(L, block.data, block.len);
		lua_pushlstring(L, text, n);
		lua_concat(L, 2);
		return 1;
	}
	lua_pushboolean(L, write_both(L, lc, body));
	return 1;
}

/* respond(conn, status line, headers, connection, length, body): builds the head and writes it with
 * the body. status line: with its line end. headers: table or nil. connection: value of that header
 * unless headers have one, or nil. length: Content-Length unless headers have one, or nil. Raises,
 * with nothing written, if a header cannot be sent. Returns true; or the text for the caller to
 * write, if conn is not a plain connection; or false when the connection takes nothing. */
static int l_respond(lua_State *L)
{
	unsigned seen;
	size_t n;
	const char *text;

	lua_settop(L, 6);
	block.len = 0;
	text = luaL_checklstring(L, 2, &n);
	if (n < 2 || memchr(text, '\r', n) != text + n - 2 || memchr(text, '\n', n) != text + n - 1)
		luaL_error(L, "bad status line");
	add(L, text, n);
	seen = add_headers(L, 3);
	if (!(seen & SEEN_DATE))
		add_date(L);
	if (!(seen & SEEN_CONNECTION) && !lua_isnil(L, 4)) {
		add(L, "Connection: ", 12);
		text = luaL_checklstring(L, 4, &n);
		add_value(L, "connection", text, n);
	}
	if (!(seen & SEEN_LENGTH) && !lua_isnil(L, 5))
		add_length(L, (lua_Unsigned)luaL_checkinteger(L, 5));
	add(L, "\r\n", 2);
	return write_block(L, 6);
}

/* Puts the head of a plain answer into the block: 200 with all of its body (a string at `body`),
 * and another request to come. false: a header says how the answer is framed. */
static bool frame_plain(lua_State *L, int headers, int body)
{
	static const char line[] = "HTTP/1.1 200 OK\r\n";
	unsigned seen;

	block.len = 0;
	add(L, line, sizeof line - 1);
	seen = add_headers(L, headers);
	if (seen & (SEEN_CONNECTION | SEEN_LENGTH | SEEN_ENCODING))
		return false;
	if (!(seen & SEEN_DATE))
		add_date(L);
	add_length(L, lua_rawlen(L, body));
	add(L, "\r\n", 2);
	return true;
}

/* respond_plain(conn, headers, body): as respond, for 200 with all of its body, and another request
 * to come. Nothing, if a header says how the answer is framed: respond has to. */
static int l_respond_plain(lua_State *L)
{
	lua_settop(L, 3);
	luaL_checktype(L, 3, LUA_TSTRING);
	return frame_plain(L, 2, 3) ? write_block(L, 3) : 0;
}

/* ---- responses ---- */

static const void *plain_class; /* its address is the registry's key */

void lua_push_http_response_class(lua_State *L)
{
	lua_rawgetp(L, LUA_REGISTRYINDEX, &plain_class);
}

/* Whether the value at 1 is a response as it was made. */
static bool is_plain(lua_State *L)
{
	bool is = lua_getmetatable(L, 1) && lua_topointer(L, -1) == plain_class;

	lua_settop(L, 2);
	return is;
}

enum { ENDED = 1, HEADERS }; /* upvalues of l_answer: a metatable, a key */

/* answer(response, body): sends 200 and ends the response to the request that is served. false
 * (nothing was done) if it is another response, has more to say, or body is no string. */
static int l_answer(lua_State *L)
{
	struct lua_conn *lc = lua_http_serving.conn;

	if (lua_type(L, 2) != LUA_TSTRING || !lc || lc->h.http != LUA_HTTP_SERVING ||
	    lc->h.fields || lua_http_serving.response != lua_topointer(L, 1) || !is_plain(L))
		return 0;
	lua_pushvalue(L, lua_upvalueindex(HEADERS));
	lua_rawget(L, 1); /* response body headers */
	if (!frame_plain(L, 3, 2))
		return 0;
	write_both(L, lc, 2);
	lua_pushvalue(L, lua_upvalueindex(ENDED));
	lua_setmetatable(L, 1);
	lua_http_answered(lc);
	lua_pushboolean(L, 1);
	return 1;
}

/* answerer(plain, ended): metatables of responses as net.http.response makes them, and as they are
 * when they have ended so. `plain` lets go of a response when one of its fields is set: what a
 * plain one says is all that there is to know of it. Returns answer. */
static int l_answerer(lua_State *L)
{
	lua_settop(L, 2);
	luaL_checktype(L, 1, LUA_TTABLE);
	luaL_checktype(L, 2, LUA_TTABLE);
	plain_class = lua_topointer(L, 1);
	lua_pushvalue(L, 1);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &plain_class);
	lua_pushliteral(L, "headers");
	lua_pushcclosure(L, l_answer, HEADERS);
	return 1;
}

/* half_close(conn): nothing more will be sent; the peer sees the end. */
static int l_half_close(lua_State *L)
{
	struct lua_conn *lc = lua_check_handle(L, 1, LUA_HANDLE_CONN);

	lua_pushboolean(L, conn_half_close(&lc->c) == 0);
	return 1;
}

void lua_http_open_answer(lua_State *L)
{
	make_name_bytes();
	lua_pushcfunction(L, l_respond);
	lua_setfield(L, -2, "respond");
	lua_pushcfunction(L, l_respond_plain);
	lua_setfield(L, -2, "respond_plain");
	lua_pushcfunction(L, l_answerer);
	lua_setfield(L, -2, "answerer");
	lua_pushcfunction(L, l_half_close);
	lua_setfield(L, -2, "half_close");
}
