/* The keeper: the one process of a host that must not die. keeper.c draws its states. */
#ifndef PROC_KEEPER_H
#define PROC_KEEPER_H

#include <stdbool.h>

/* What `gadwall run` was asked for. Strings are borrowed for the life of the process. */
struct keeper_opts {
	const char *config_file; /* -c FILE, or NULL: the reader finds it */
	const char *root;        /* folder of the checkout, or PREFIX */
	bool passive;            /* --passive: serve, but no singletons */
	bool detach;             /* --detach, --daemon: return when ready */
	bool print_config;       /* --print-config: the reader prints what it found */
	int argc;
	char **argv; /* of main: the process title is written over it */
	/* What the first reader runs, in a fork of the keeper: it is the same binary, and to exec,
	 * link and relocate it again is a tenth of a start. NULL: it is exec'ed, like all others.
	 */
	int (*reader)(int argc, char **argv);
};

/* Runs a host until it ends; returns the exit status of the host. */
int keeper_main(const struct keeper_opts *opts);

/* Roles of a keeper that changes its own binary (proc/reexec.c). The descriptors are numbers in the
 * words of main. A trial reads the state of a running keeper and writes what it has read; 0 when
 * it could. The other goes on as that keeper, in its process; the exit status of the host. */
int keeper_trial(int argc, char **argv);
int keeper_again(int argc, char **argv);

#endif
