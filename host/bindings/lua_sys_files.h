/* A part of host.sys (bindings/lua_sys.c). */
#ifndef BINDINGS_LUA_SYS_FILES_H
#define BINDINGS_LUA_SYS_FILES_H

#include <lua.h>

/* Adds to the table on top: stat(path), stat_fd(fd), mkdir(path, mode), chmod(path, mode), cwd(),
 * hostname(), file_limit() -> number or nothing where there is none, forget_environment(prefix);
 * EACCES, EINTR, ENOENT. Failure: nil, LuaSocket's words, errno. */
void lua_add_sys_files(lua_State *L);

#endif
