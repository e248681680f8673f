/* The keeper's memory: one static struct; proc/parts.h has the functions that its files share.
 * Nothing here is allocated; every limit is a constant of this file. The whole memory stands on one
 * page, so that a re-exec forgets none of it. */
#ifndef PROC_TABLE_H
#define PROC_TABLE_H

/* what every file of the keeper uses */
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/fd.h"
#include "base/log.h"
#include "proc/ipc.h"
#include "proc/keeper.h"
#include "proc/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	KEEPER_GENERATIONS = 4,
	KEEPER_WORKERS = SETTINGS_WORKERS * KEEPER_GENERATIONS,
	KEEPER_HELD = 1024,
	KEEPER_CHILDREN = 1024,
	KEEPER_SIGNALS = 16, /* signals whose hooks run at one time */
	KEEPER_KNOCKS = 8,   /* connections to keeper.sock that have not said who they are */
	KEEPER_NAME = 256,
	WORKER_ABORT_WAIT = 2, /* s, before a SIGKILL */
	/* sysexits that the keeper itself gives; gadwall(8) has the whole table */
	KEEPER_EXIT_UNAVAILABLE = 69,
	KEEPER_EXIT_SOFTWARE = 70,
	KEEPER_EXIT_OS = 71,
	KEEPER_EXIT_EXPIRED = 75,
	KEEPER_EXIT_PERMISSION = 77,
	KEEPER_EXIT_CONFIG = 78,
};

#define KEEPER_NEVER 1e18 /* a deadline that does not come */

/* keeper.c draws how they follow one another. */
enum worker_state { WORKER_NONE, WORKER_STARTING, WORKER_UP, WORKER_WAITING, WORKER_ENDED };

enum { WORKER_UNKNOWN = -1 };

/* All times are monotonic seconds unless they say otherwise. */
struct worker {
	enum worker_state state;
	uint32_t generation, number, restarts;
	pid_t pid;                  /* 0: no process */
	int pidfd, channel;         /* owned; -1: none */
	unsigned long long ticks;   /* start time as /proc/PID/stat has it */
	double started, started_at; /* the second: realtime */
	double beat, start_due, kill_due, restart_at;
	double deaths[SETTINGS_DEATHS]; /* newest first */
	unsigned strikes;               /* deaths without a long life between them */
	uint32_t held_next;             /* next held fd to offer; KEEPER_HELD: BEGIN is sent */
	bool failing, leaving, was_up, aborted, deaf;
	bool adopted;         /* an orphan that came back: not our child */
	bool attached;        /* it has handed back what it held */
	int code;             /* of LEAVING */
	char last_words[256]; /* its text; "" */
	uint32_t acked;       /* id of the newest COMMIT it has acknowledged */
	enum host_state said;
	char phase[32];
	uint32_t ready, sessions, in_flight; /* of the newest beat */
	bool waiting;                        /* the slot holds a message for a full channel */
	struct ipc_message slot;
};

struct held {
	int fd;         /* owned; -1: free */
	uint32_t users; /* bit i: generations[i] uses it */
	char name[KEEPER_NAME];
};

/* A child process of a worker. */
struct ward {
	int pidfd;                       /* owned; -1: free */
	uint32_t generation, worker, id; /* worker 0: the worker that started it has ended */
	bool survives;                   /* the end of a host that is not stopped */
	double kill_due;                 /* after a SIGTERM */
};

/* What a generation runs; owned descriptors. */
struct generation_parts {
	int binary;   /* O_PATH */
	int settings; /* sealed memfd: struct settings */
	int bundle;   /* sealed memfd: the config's text */
};

enum generation_role {
	GENERATION_ACTIVE,   /* accepts and restarts what dies; the first one is born so */
	GENERATION_JOINING,  /* loads with its gates shut, until the commit */
	GENERATION_YIELDED,  /* drains with its gates shut, and may take back (probation) */
	GENERATION_RETIRING, /* finishes its sessions and ends */
	GENERATION_DOOMED,   /* was killed: its end changes nothing */
};

struct generation {
	uint32_t number; /* 0: free */
	enum generation_role role;
	struct generation_parts parts;
	double hammer_at; /* of one that retires */
	bool was_ready, told_to_end;
	struct settings settings; /* what `parts.settings` says, for its own workers; the last
				     member: carry.c sends it apart */
};

/* The commit of one generation in place of another; commit.c draws its steps. */
enum commit_step { COMMIT_NONE, COMMIT_YIELD, COMMIT_TAKE };

struct commit {
	enum commit_step step;
	uint32_t id, from, to;
	bool back; /* `to` is the older one, which takes back: nothing may stop it */
	double due, shut_at;
	int blob; /* what `from` has saved; sealed memfd, -1: nothing */
};

/* The upgrade under way and the outcome of the last one; upgrade.c draws its states. */
enum upgrade_state {
	UPGRADE_NONE,
	UPGRADE_CHECK,
	UPGRADE_SPAWN,
	UPGRADE_LOAD,
	UPGRADE_READY,
	UPGRADE_COMMIT,
	UPGRADE_PROBATION,
	UPGRADE_STATES
};

struct upgrade_asker {
	uint32_t generation, worker, request; /* who waits for a RESULT; request 0: nobody */
};

struct upgrade {
	enum upgrade_state state;
	uint32_t number; /* of this one, or of the last; counts up for ever */
	uint32_t from, target;
	struct generation_parts parts;   /* of the new generation, until it has its own; from the
					    commit on copies of what the older one has */
	char config_file[SETTINGS_PATH]; /* of an upgrade to another config; "": the one in force */
	bool dry_run, back, reading;
	double started, due, pause;                  /* pause: s in which nobody accepted */
	struct upgrade_asker asker, back_asker;      /* of the upgrade, and of its rollback */
	uint32_t committed, failed, rolled_back;     /* how many ended so */
	char outcome[16], at_state[16], reason[320]; /* of the last one; "": there was none */
	double ended_at, seconds;                    /* realtime; how long it took */
};

/* A signal whose hooks the speaker runs; it is acted on at `due` even without an answer. */
struct pending {
	uint32_t id; /* 0: free */
	int signo;
	pid_t sender;
	enum host_verb verb;
	double at, due;
};

/* A worker of a keeper that died, as RUNTIME/state names it. */
struct orphan {
	uint32_t generation, number;
	pid_t pid;
	unsigned long long ticks;
};

struct knock {
	int fd; /* owned; -1: free */
	double due;
};

/* Orphans; attach_settle.c draws what becomes of them. */
struct attach {
	bool waiting;         /* for those that `state` names; nothing is started meanwhile */
	bool gaps;            /* some of the active generation are still to be replaced */
	double due, hung_at;  /* when it goes on without them; when they count as hung */
	int settings, bundle; /* owned: what this start has read, if nobody comes */
	uint32_t last_active, nnamed;
	enum host_verb kept; /* a stop that was asked for meanwhile */
	struct orphan named[KEEPER_WORKERS];
	struct knock knocks[KEEPER_KNOCKS];
};

struct reader {
	pid_t pid;        /* 0: none runs */
	bool for_upgrade; /* upgrade.c hears the outcome, not the workers */
	int pidfd, channel, settings, bundle, faults;
	double due;
	uint32_t generation, worker, request; /* who waits for the RESULT; request 0: nobody */
	bool again;                           /* asked for once more while this one runs */
	bool later; /* who waits came while it ran: the next one is theirs */
	uint32_t applying,
	    appliers; /* id of the bundle that workers apply now; how many still do */
	double apply_due;
};

/* The service manager's socket. */
struct notify {
	int fd; /* owned; -1: there is no service manager */
	struct sockaddr_un address;
	socklen_t size;
	double watchdog, watchdog_due; /* s between two words; when the next is due */
	char status[200];              /* the newest STATUS */
};

/* The keeper's own change to another binary; reexec.c draws its steps. */
struct reexec {
	bool wanted, tried; /* a change is due; the trial has been good */
	bool said;          /* that it waits */
	pid_t pid;          /* of the trial; 0: none runs */
	int state, copy;    /* owned, of the trial; -1: none */
	double due;         /* the trial's limit */
};

/* carry.c sends every member to the binary that comes after this one. */
struct keeper {
	struct settings settings;
	enum host_state state;
	char phase[32], reason[64], nonce[33];
	double since;                    /* realtime of the newest state */
	char config_file[SETTINGS_PATH]; /* -c FILE; "": the reader finds it */
	char
	    path[SETTINGS_PATH]; /* by which we were started, absolute, not resolved; "": unknown */
	int signals, dir, lock, sock, binary, pidfile;
	int terminals; /* bit i: descriptor i was a terminal at the start */
	struct generation generations[KEEPER_GENERATIONS];
	uint32_t active, highest /* generation there ever was */, next_id, restarts;
	struct generation_parts previous; /* what the last good generation before this one ran */
	struct upgrade upgrade;
	struct commit commit;
	struct worker workers[KEEPER_WORKERS];
	struct held held[KEEPER_HELD];
	struct ward children[KEEPER_CHILDREN];
	struct pending pending[KEEPER_SIGNALS];
	struct reader reader;
	struct attach attach;
	bool loaded;   /* settings are checked, the runtime folder is ours */
	bool ready;    /* generation 1 was ready once */
	bool passive;  /* no singleton yet: run --passive, until activate */
	bool stopping; /* nothing is started any more */
	bool spares;   /* the hammer fell in a finish: what survives that survives this */
	bool abandoned, hammered, failed, told_stopping, reload_kept, ended;
	bool dirty; /* state files and STATUS are to be written anew */
	unsigned stop_count;
	double stop_last, hammer_at;
	int tickets; /* owned: the keys of TLS session tickets, sealed */
	double tickets_due;
	uint32_t tickets_number, tickets_told[KEEPER_WORKERS]; /* of the newest keys; of those that
								  a worker's slot was sent last */
	struct notify notify;
	struct reexec reexec;
	bool starts_passive; /* run --passive, for the reader */
	int code, last_exit, last_signal;
	char carried_to_here; /* the last member */
};

extern struct keeper keeper;

#define FOR_WORKERS(w)                                                                             \
	for (struct worker *w = keeper.workers; w < keeper.workers + KEEPER_WORKERS; w++)

#include "proc/bundle.h"
#include "proc/parts.h"

#endif
