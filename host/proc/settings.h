/* What the keeper learns from the config, through a reader only: a fixed struct, checked field by
 * field, carried as the whole content of a sealed memfd. Also the words of states and verbs.
 *
 * An upgrade crosses versions, so the struct grows at its end only, and 0 in a new field means its
 * default: who reads a longer one looks at its beginning, who reads a shorter one sees zeros. */
#ifndef PROC_SETTINGS_H
#define PROC_SETTINGS_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* The host's states; the words are those of log lines, console and health bodies. */
enum host_state {
	HOST_STARTING,
	HOST_PASSIVE,
	HOST_SERVING,
	HOST_DRAINING,
	HOST_FINISHING,
	HOST_STOPPING,
	HOST_STOPPED,
	HOST_FAILED,
	HOST_STATES
};

enum host_verb {
	VERB_NONE,
	VERB_SHUTDOWN,
	VERB_FINISH,
	VERB_DRAIN,
	VERB_UNDRAIN,
	VERB_RELOAD,
	VERB_REOPEN_LOGS,
	VERB_UPGRADE,
	VERB_ROLLBACK,
	VERB_HAMMER,
	/* from here on: requests only, no signal means them */
	VERB_ABORT,
	VERB_ACTIVATE,
	VERB_EXTEND,
	VERB_SIGNAL,
	VERB_STATUS,
	VERB_TEST_GENERATION,
	VERB_REPORT, /* to workers only: a worker of another generation says how its stop ended */
	HOST_VERBS
};

enum {
	SETTINGS_MAGIC = 0x53574447, /* "GDWS" */
	SETTINGS_GROUPS = 64,
	SETTINGS_ADDRESSES = 64,
	SETTINGS_SIGNALS = 65,
	SETTINGS_PATH = 256,
	SETTINGS_WORKERS = 16,
	SETTINGS_DEATHS = 16,
	SETTINGS_GENERATIONS = 4,
	SETTINGS_SIZE_MAX = 64 * 1024,
};

#define SETTINGS_NO_ID UINT32_MAX

/* Seconds are doubles. A path is NUL-terminated; "" means none. */
struct settings {
	uint32_t magic, size;
	uint32_t uid, gid; /* SETTINGS_NO_ID: stay who we are */
	uint32_t ngroups, groups[SETTINGS_GROUPS];
	uint32_t run_as_root, no_new_privs, workers, umask;
	char config_file[SETTINGS_PATH], pidfile[SETTINGS_PATH], runtime_path[SETTINGS_PATH];
	char data_path[SETTINGS_PATH], admin_socket[SETTINGS_PATH];
	double start_timeout;
	double worker_timeout; /* -1: unlimited */
	double worker_heartbeat, hammer_time /* -1: never */, shutdown_timeout, orphan_timeout;
	double process_kill_timeout, backoff_min, backoff_max, limit_seconds;
	uint32_t limit_count;
	uint32_t naddresses;
	union settings_address {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} addresses[SETTINGS_ADDRESSES];                /* below port 1024 */
	uint8_t signals[SETTINGS_SIGNALS][HOST_STATES]; /* enum host_verb */
	uint64_t lua_memory_limit;                      /* bytes */
	double upgrade_timeout, upgrade_probation;
	uint32_t max_generations;
	uint32_t cap_refuses; /* at max_generations: refuse, else the oldest one has to end */
	char upgrade_binary[SETTINGS_PATH]; /* absolute; "": the path by which we were started */
	uint32_t channels; /* the newest version of channels (ipc.h) that the binary speaks whose
			      reader wrote this; 0: 2, which did not say so */
};

/* NULL when every field is within its range, else "field: why" (static text). */
const char *settings_check(const struct settings *s);

/* Reads and checks the settings in fd; NULL or what is wrong. The fd stays the caller's. */
const char *settings_read(int fd, struct settings *s_r);

const char *host_state_name(enum host_state state);
const char *host_verb_name(enum host_verb verb);
/* The number, or -1 for a word that is none. */
int host_state_of(const char *name);
int host_verb_of(const char *name);

#endif
