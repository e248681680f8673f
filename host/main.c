/* gadwall: picks the role; host/README.md draws the whole. */
#include "base/fd.h"
#include "bindings/lua_host.h"
#include "bindings/roles.h"
#include "proc/keeper.h"
#include "proc/run_opts.h"

#include <stdio.h>
#include <string.h>

enum { EXIT_OS_FAULT = 71 };

static int role_command(const struct lua_host_info *info, int argc, char **argv)
{
	lua_State *L = lua_host_new(info, 0);
	int code;

	if (!L)
		return EXIT_OS_FAULT;
	code = lua_host_boot(L, "command", argc - 1, argv + 1);
	lua_host_free(&L);
	return code;
}

int main(int argc, char **argv)
{
	struct keeper_opts opts = {0};
	struct lua_host_info info;

	if (fd_repair_stdio() < 0)
		return EXIT_OS_FAULT;
	if (argc > 1 && strcmp(argv[1], "--role=worker") == 0)
		return role_worker(argc, argv);
	if (argc > 1 && strcmp(argv[1], "--role=reader") == 0)
		return role_reader(argc, argv);
	if (argc > 1 && strcmp(argv[1], "--role=keeper-trial") == 0)
		return keeper_trial(argc, argv);
	if (argc > 1 && strcmp(argv[1], "--role=keeper-again") == 0)
		return keeper_again(argc, argv);
	if (lua_host_locate(&info, "command") < 0) {
		perror("gadwall: cannot find my own path in /proc/self/exe");
		return EXIT_OS_FAULT;
	}
	/* `run` is parsed in C: the keeper's process never holds a Lua state. */
	switch (run_opts_parse(argc, argv, &opts)) {
	case RUN_OPTS_RUN:
		opts.root = info.root;
		opts.reader = role_reader;
		return keeper_main(&opts);
	case RUN_OPTS_USAGE: return 64;
	case RUN_OPTS_OTHER: break;
	}
	return role_command(&info, argc, argv);
}
