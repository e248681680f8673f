#include "bindings/lua_util.h"

#include <lauxlib.h>
#include <stdint.h>
#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void encode_triple(char *out, uint32_t bits)
{
	out[0] = alphabet[bits >> 18 & 63];
	out[1] = alphabet[bits >> 12 & 63];
	out[2] = alphabet[bits >> 6 & 63];
	out[3] = alphabet[bits & 63];
}

static int l_base64_encode(lua_State *L)
{
	size_t len, i, n = 0;
	const unsigned char *in = (const unsigned char *)luaL_checklstring(L, 1, &len);
	luaL_Buffer b;
	char *out;

	luaL_argcheck(L, len <= SIZE_MAX / 4, 1, "too long");
	out = luaL_buffinitsize(L, &b, (len + 2) / 3 * 4);
	for (i = 0; i + 3 <= len; i += 3, n += 4)
		encode_triple(
		    out + n, (uint32_t)in[i] << 16 | (uint32_t)in[i + 1] << 8 | in[i + 2]);
	if (i < len) {
		encode_triple(
		    out + n, (uint32_t)in[i] << 16 | (i + 1 < len ? (uint32_t)in[i + 1] << 8 : 0));
		if (i + 1 == len)
			out[n + 2] = '=';
		out[n + 3] = '=';
		n += 4;
	}
	luaL_pushresultsize(&b, n);
	return 1;
}

/* Value of a digit, -1 for blank, -2 for '=', -3 for anything else. */
static int digit_value(unsigned char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	switch (c) {
	case '+': return 62;
	case '/': return 63;
	case '=': return -2;
	case ' ':
	case '\t':
	case '\n':
	case '\r':
	case '\f':
	case '\b': return -1;
	default: return -3;
	}
}

/* Writes what the last `have` digits (2 or 3) of an unfinished group hold; one digit holds no byte.
 */
static size_t decode_rest(char *out, uint32_t bits, int have)
{
	if (have == 2) {
		out[0] = (char)(bits >> 4);
		return 1;
	}
	if (have == 3) {
		out[0] = (char)(bits >> 10);
		out[1] = (char)(bits >> 2);
		return 2;
	}
	return 0;
}

/* As Prosody's: blanks are skipped, padding ends a group and may stand too often or (unlike there)
 * be missing; a character outside the alphabet, or one digit alone, makes the text invalid. */
static int l_base64_decode(lua_State *L)
{
	size_t len, n = 0;
	const unsigned char *in = (const unsigned char *)luaL_checklstring(L, 1, &len);
	uint32_t bits = 0;
	int have = 0;
	luaL_Buffer b;
	char *out = luaL_buffinitsize(L, &b, len / 4 * 3 + 3);

	for (size_t i = 0; i < len; i++) {
		int value = digit_value(in[i]);

		if (value >= 0) {
			bits = bits << 6 | (uint32_t)value;
			if (++have < 4)
				continue;
			out[n++] = (char)(bits >> 16);
			out[n++] = (char)(bits >> 8);
			out[n++] = (char)bits;
		} else if (value == -2) {
			n += decode_rest(out + n, bits, have);
		}
		if (value == -3 || (value == -2 && have == 1)) {
			lua_pushnil(L);
			return 1;
		}
		if (value != -1)
			bits = 0, have = 0;
	}
	if (have == 1) {
		lua_pushnil(L);
		return 1;
	}
	luaL_pushresultsize(&b, n + decode_rest(out + n, bits, have));
	return 1;
}

int luaopen_host_encodings(lua_State *L)
{
	static const luaL_Reg base64[] = {
	    {"encode", l_base64_encode},
	    {"decode", l_base64_decode},
	    {NULL, NULL},
	};

	lua_createtable(L, 0, 1);
	luaL_newlib(L, base64);
	lua_setfield(L, -2, "base64");
	return 1;
}
