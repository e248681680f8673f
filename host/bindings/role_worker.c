/* The worker: one process that runs the modules of one generation. */
#include "bindings/roles.h"

#include "base/background.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/title.h"
#include "bindings/lua_host.h"
#include "bindings/worker_channel.h"
#include "bindings/worker_peers.h"
#include "bindings/worker_signals.h"
#include "net/loop.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/types.h>

enum { CHANNEL = 3, EXIT_USAGE = 64, EXIT_SOFTWARE = 70, EXIT_OS = 71 };

static void name_process(void)
{
	char name[64];

	snprintf(name, sizeof name, "gadwall: worker g%u.%u", worker_channel.generation,
	    worker_channel.worker);
	title_set(name);
	log_source(name + sizeof "gadwall: worker " - 1);
	snprintf(name, sizeof name, "g%u", worker_channel.generation);
	failpoint_scope(name);
}

static int fail(const char *step)
{
	log_error("the worker cannot start: %s: %s", step, strerror(errno));
	return EXIT_OS;
}

int role_worker(int argc, char **argv)
{
	struct lua_host_info info;
	struct loop *loop;
	lua_State *L;
	int code;

	/* 1: nobody looks into this memory (exec has made it dumpable again); test builds stay
	 * open, because specs count descriptors and LeakSanitizer looks around */
#if !defined GADWALL_SAN && !defined GADWALL_FAILPOINTS
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
	FAILPOINT("worker-start");
	(void)argc;
	(void)argv;
	if (!ipc_fd_is(CHANNEL, IPC_FD_CHANNEL)) {
		fputs("gadwall: a worker is started by its keeper (try: gadwall run)\n", stderr);
		return EXIT_USAGE;
	}
	/* 2: who we are, what we run, what is held for us */
	if (channel_open(CHANNEL) < 0)
		return fail("the keeper's hello");
	/* 3: name and file mode */
	name_process();
	FAILPOINT("worker-hello");
	(void)umask((mode_t)worker_channel.settings.umask);
	if (worker_channel.joins)
		background_begin(); /* to READY: the other generation serves meanwhile */
	/* 4: the loop, with the keeper's words first in each turn */
	loop = loop_main();
	if (!loop)
		return fail("the loop");
	channel_start(loop->ev);
	if (worker_channel.joins) /* the first word: an upgrade goes from spawn to load */
		(void)channel_tell(IPC_STATE, 0, "ufss", (uint32_t)HOST_STARTING, 0.0, "", "");
	/* 5: signals, before anything slow */
	if (worker_signals_start(loop->ev) < 0)
		return fail("signal handlers");
	/* 6: Lua */
	if (lua_host_locate(&info, "worker") < 0)
		return fail("/proc/self/exe");
	L = lua_host_new(&info, (size_t)worker_channel.settings.lua_memory_limit);
	if (!L)
		return fail("Lua");
	/* 7: everything else */
	FAILPOINT("worker-boot");
	code = lua_host_boot(L, "worker", 0, NULL);
	/* 8: the end; what was to be said has been said */
	worker_channel.on_message = NULL;
	FAILPOINT("worker-exit");
	background_stay();
	lua_host_free(&L);
	worker_signals_stop(loop->ev);
	peers_stop();
	channel_stop();
	loop_main_free();
	return code;
}
