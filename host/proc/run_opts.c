#include "proc/run_opts.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Options of any command that take a value in the next word; needed to find the command word. */
static bool takes_value(const char *word)
{
	static const char *const options[] = {"-c", "--config", "--socket", "--timeout", "--color"};

	for (size_t i = 0; i < sizeof options / sizeof *options; i++)
		if (strcmp(word, options[i]) == 0)
			return true;
	return false;
}

static int find_word(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (argv[i][0] != '-')
			return i;
		if (takes_value(argv[i]))
			i++;
	}
	return 0;
}

static enum run_opts_result usage(const char *fault, const char *word)
{
	fprintf(stderr, "gadwall run: %s '%s' (try: gadwall run --help)\n", fault, word);
	return RUN_OPTS_USAGE;
}

static bool flag(struct keeper_opts *opts, const char *word)
{
	if (strcmp(word, "--passive") == 0)
		opts->passive = true;
	else if (strcmp(word, "--detach") == 0 || strcmp(word, "--daemon") == 0 ||
		 strcmp(word, "-D") == 0)
		opts->detach = true;
	else
		return strcmp(word, "-F") == 0 || strcmp(word, "--quiet") == 0;
	return true;
}

enum run_opts_result run_opts_parse(int argc, char **argv, struct keeper_opts *opts)
{
	int word = find_word(argc, argv);

	if (!word || strcmp(argv[word], "run") != 0)
		return RUN_OPTS_OTHER;
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "--print-config") == 0)
			return RUN_OPTS_OTHER;
	opts->argv = argv;
	for (int i = 1; i < argc; i++) {
		if (i == word || flag(opts, argv[i]))
			continue;
		if (strncmp(argv[i], "--config=", 9) == 0) {
			opts->config_file = argv[i] + 9;
		} else if (strcmp(argv[i], "-c") == 0 || strcmp(argv[i], "--config") == 0) {
			if (++i == argc)
				return usage("a file must follow", argv[i - 1]);
			opts->config_file = argv[i];
		} else {
			return usage("unknown option or argument", argv[i]);
		}
	}
	return RUN_OPTS_RUN;
}
