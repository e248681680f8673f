/* embed ROOT CODE FILE...: writes, to stdout, assembler that holds each FILE of the Lua runtime as
 * text and as bytecode, and the table embedded_files of host/base/embedded.h, sorted by name; the
 * bytecode goes to the file CODE, which the assembler includes.
 * The name is the path below ROOT without ".lua", with dots: util/set.lua -> util.set.
 *
 * A program of our own instead of luac5.4, because it is linked with the very Lua that gadwall is
 * linked with: the same core writes the bytecode and reads it. embedded_lua says which one that
 * was. Names of files and lines stay in it, so that a traceback reads like one of the text. The
 * same files give the same bytes. */
#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 256 };

struct file {
	const char *path;
	char name[NAME_MAX_BYTES];
	long at, size; /* of its bytecode in CODE */
};

_Noreturn static void die(const char *what, const char *why)
{
	fprintf(stderr, "embed: %s: %s\n", what, why);
	exit(1);
}

static void name(struct file *f, const char *root, const char *path)
{
	size_t skip = strlen(root) + 1, n = strlen(path);

	if (n < skip + 4 || n - skip >= sizeof f->name || strcmp(path + n - 4, ".lua") != 0)
		die(path, "not a Lua file below the root");
	f->path = path;
	memcpy(f->name, path + skip, n - skip - 4);
	for (char *p = f->name; *p; p++)
		if (*p == '/')
			*p = '.';
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct file *)a)->name, ((const struct file *)b)->name);
}

static char *read_all(const char *path, size_t *size)
{
	FILE *in = fopen(path, "rb");
	char *text;
	long n;

	if (!in || fseek(in, 0, SEEK_END) != 0 || (n = ftell(in)) < 0 ||
	    fseek(in, 0, SEEK_SET) != 0)
		die(path, "cannot be read");
	text = malloc((size_t)n + 1);
	if (!text || fread(text, 1, (size_t)n, in) != (size_t)n)
		die(path, "cannot be read");
	fclose(in);
	*size = (size_t)n;
	return text;
}

static int write_code(lua_State *L, const void *p, size_t n, void *out)
{
	(void)L;
	return fwrite(p, 1, n, out) == n ? 0 : 1;
}

/* The chunk is named as boot.lua (host/lua) and lua_host.c name what they load from text. */
static void compile(lua_State *L, struct file *f, const char *root, FILE *code)
{
	const char *below = f->path + strlen(root) + 1;
	char chunk[NAME_MAX_BYTES + 1];
	size_t size;
	char *text = read_all(f->path, &size);

	snprintf(chunk, sizeof chunk, "%c%s", strcmp(below, "boot.lua") == 0 ? '=' : '@', below);
	if (luaL_loadbufferx(L, text, size, chunk, "t") != LUA_OK)
		die(f->path, lua_tostring(L, -1));
	f->at = ftell(code);
	if (lua_dump(L, write_code, code, 0) != 0)
		die(f->path, "its bytecode cannot be written");
	f->size = ftell(code) - f->at;
	lua_pop(L, 1);
	free(text);
}

static void write_assembler(const struct file *files, int n, const char *code)
{
	printf(
	    "\t.section .rodata\n\t.globl embedded_lua\nembedded_lua:\t.asciz \"%s\"\n", lua_ident);
	for (int i = 0; i < n; i++)
		printf("n%d:\t.asciz \"%s\"\n", i, files[i].name);
	/* Bytecode together and text together: a start reads the one and never the other, whose
	 * pages would come with their neighbours; embedded_trim gives both back. */
	printf("\t.globl embedded_begin\nembedded_begin:\n");
	for (int i = 0; i < n; i++)
		printf(
		    "b%d:\t.incbin \"%s\",%ld,%ld\nc%d:\n", i, code, files[i].at, files[i].size, i);
	for (int i = 0; i < n; i++)
		printf("s%d:\t.incbin \"%s\"\ne%d:\t.byte 0\n", i, files[i].path, i);
	printf("\t.globl embedded_end\nembedded_end:\n");
	printf("\t.section .data.rel.ro,\"aw\"\n\t.balign 8\n\t.globl "
	       "embedded_files\nembedded_files:\n");
	for (int i = 0; i < n; i++)
		printf("\t.quad n%d, s%d, e%d, b%d, c%d\n", i, i, i, i, i);
	printf("\t.globl embedded_count\nembedded_count:\t.quad %d\n", n);
	printf("\t.section .note.GNU-stack,\"\",@progbits\n");
}

int main(int argc, char **argv)
{
	int n = argc - 3;
	struct file *files;
	lua_State *L;
	FILE *code;

	if (n < 1)
		die("usage", "embed ROOT CODE FILE...");
	files = calloc((size_t)n, sizeof *files);
	L = luaL_newstate();
	code = fopen(argv[2], "wb");
	if (!files || !L || !code)
		die(argv[2], "cannot be written");
	for (int i = 0; i < n; i++)
		name(&files[i], argv[1], argv[3 + i]);
	qsort(files, (size_t)n, sizeof *files, by_name);
	for (int i = 0; i < n; i++)
		compile(L, &files[i], argv[1], code);
	if (fclose(code) != 0)
		die(argv[2], "cannot be written");
	write_assembler(files, n, argv[2]);
	lua_close(L);
	free(files);
	return fflush(stdout) != 0;
}
