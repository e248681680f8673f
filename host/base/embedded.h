/* The Lua runtime (host/lua) inside the binary, as text and as bytecode; made by
 * contrib/dev/embed.c. */
#ifndef BASE_EMBEDDED_H
#define BASE_EMBEDDED_H

#include <stddef.h>

/* One file: name in `require` form ("util.set"); its text from `text` to `end` and its bytecode,
 * with names and lines, from `code` to `code_end` (both exclusive). */
struct embedded_file {
	const char *name;
	const char *text;
	const char *end;
	const char *code;
	const char *code_end;
};

/* Sorted by name (strcmp). */
extern const struct embedded_file embedded_files[];
extern const size_t embedded_count;

/* Gives back the memory behind the texts and the bytecode, 1.8 MiB of a worker that has started; it
 * comes again from the file when it is needed. */
void embedded_trim(void);

/* lua_ident of the Lua that wrote the bytecode: another one must not load it. */
extern const char embedded_lua[];

#endif
