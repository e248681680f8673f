/* The command line of `gadwall run`; all other commands are parsed in lua/cli/. */
#ifndef PROC_RUN_OPTS_H
#define PROC_RUN_OPTS_H

#include "proc/keeper.h"

enum run_opts_result {
	RUN_OPTS_RUN,   /* it is `run`: opts are filled, strings borrowed from argv */
	RUN_OPTS_USAGE, /* it is `run` with a fault; said on standard error */
	RUN_OPTS_OTHER, /* another command (or `run --help`, `run --print-config`) */
};

/* Options may stand before and after the word: -c FILE, --config FILE, --config=FILE, -F
 * (foreground, Prosody's; the default here), --passive, --detach, --daemon or -D, --quiet. */
enum run_opts_result run_opts_parse(int argc, char **argv, struct keeper_opts *opts);

#endif
