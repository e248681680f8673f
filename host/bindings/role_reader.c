/* The reader: runs the config once, hands settings and bundle, or the faults, to the keeper, and
 * ends. */
#include "bindings/roles.h"

#include "base/background.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/title.h"
#include "bindings/lua_host.h"
#include "bindings/lua_reader.h"
#include "proc/ipc.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	CHANNEL = 3,
	TIME_LIMIT = 10, /* s */
	MEMORY_LIMIT = 256 * 1024 * 1024,
	EXIT_USAGE = 64,
	EXIT_OS = 71,
	EXIT_PERMISSION = 77,
};

static const char fallback[] = "/etc/gadwall/gadwall.cfg.lua";

/* A config is code: it runs with its owner's rights, not with root's. */
static int become_owner(const char *file)
{
	struct stat st;

	if (geteuid() != 0 || stat(file ? file : fallback, &st) < 0 || st.st_uid == 0)
		return 0; /* no file: the runtime says so, with its name */
	if (setgroups(0, NULL) < 0 || setresgid(st.st_gid, st.st_gid, st.st_gid) < 0 ||
	    setresuid(st.st_uid, st.st_uid, st.st_uid) < 0)
		return -1;
	if (setuid(0) == 0) {
		errno = EPERM;
		return -1;
	}
	return 0;
}

static void parse(int argc, char **argv, struct lua_reader_args *args)
{
	static char file[PATH_MAX];

	for (int i = 2; i < argc; i++) {
		if (strcmp(argv[i], "-c") == 0 && i + 1 < argc) {
			snprintf(file, sizeof file, "%s", argv[++i]);
			args->config_file = file; /* argv becomes the title */
		} else if (strcmp(argv[i], "--passive") == 0)
			args->passive = true;
		else if (strcmp(argv[i], "--reload") == 0)
			args->for_reload = true;
	}
}

/* The alarm's default action ends us, whatever runs: the keeper sees SIGALRM. */
static void limit_time(void)
{
	const struct rlimit none = {0, 0};
	sigset_t nothing;

	(void)setrlimit(RLIMIT_CORE, &none);
	sigemptyset(&nothing);
	(void)sigprocmask(SIG_SETMASK, &nothing, NULL);
	(void)alarm(TIME_LIMIT);
}

int role_reader(int argc, char **argv)
{
	struct lua_reader_args args = {0};
	struct lua_host_info info;
	lua_State *L;
	int code;

	FAILPOINT("reader-start");
	if (!ipc_fd_is(CHANNEL, IPC_FD_CHANNEL)) {
		fputs("gadwall: a reader is started by the keeper (try: gadwall check)\n", stderr);
		return EXIT_USAGE;
	}
	limit_time();
	parse(argc, argv, &args);
	if (args.for_reload)
		background_stay();
	title_set("gadwall: reader");
	log_source("reader");
	if (become_owner(args.config_file) < 0) {
		log_error("cannot become the owner of the config: %s", strerror(errno));
		return EXIT_PERMISSION;
	}
	lua_reader_init(&args);
	if (lua_host_locate(&info, "reader") < 0)
		return EXIT_OS;
	L = lua_host_new(&info, MEMORY_LIMIT);
	if (!L)
		return EXIT_OS;
	FAILPOINT("reader-config");
	code = lua_host_boot(L, "reader", 0, NULL);
	if (lua_reader_send(CHANNEL) < 0 && code == 0) {
		log_error("nothing to hand to the keeper: %s", strerror(errno));
		code = EXIT_OS;
	}
#ifndef GADWALL_SAN
	/* The keeper waits for this end: memory goes back at once, and not object by object (2 ms).
	 */
	(void)fflush(NULL);
	_exit(code);
#endif
	lua_host_free(&L);
	return code;
}
