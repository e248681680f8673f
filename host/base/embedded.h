/* The Lua runtime (host/lua) as text inside the binary; made by contrib/dev/embed.sh. */
#ifndef BASE_EMBEDDED_H
#define BASE_EMBEDDED_H

/* One file: name in `require` form ("util.set"), text from `text` to `end` (exclusive). */
struct embedded_file {
	const char *name;
	const char *text;
	const char *end;
};

/* Ends with an entry whose name is NULL; sorted by path. */
extern const struct embedded_file embedded_files[];

#endif
