/* The keeper's memory: one static struct, and the functions that its files share.
 * Nothing here is allocated; every limit is a constant of this file. */
#ifndef PROC_TABLE_H
#define PROC_TABLE_H

#include "proc/ipc.h"
#include "proc/keeper.h"
#include "proc/settings.h"

#include <poll.h>
#include <sys/types.h>

enum {
	KEEPER_GENERATIONS = 4,
	KEEPER_WORKERS = SETTINGS_WORKERS * KEEPER_GENERATIONS,
	KEEPER_HELD = 1024,
	KEEPER_SIGNALS = 16,
	KEEPER_NAME = 256,
	KEEPER_EXIT_UNAVAILABLE = 69,
	KEEPER_EXIT_SOFTWARE = 70,
	KEEPER_EXIT_OS = 71,
	KEEPER_EXIT_EXPIRED = 75,
	KEEPER_EXIT_PERMISSION = 77,
	KEEPER_EXIT_CONFIG = 78,
};

#define KEEPER_NEVER 1e18

/* keeper.c draws how they follow one another. */
enum worker_state { WORKER_NONE, WORKER_STARTING, WORKER_UP, WORKER_WAITING, WORKER_ENDED };

struct worker {
	enum worker_state state;
	uint32_t generation, number, restarts;
	pid_t pid;
	int pidfd, channel;         /* owned; -1 while there is no process */
	unsigned long long ticks;   /* start time of the process, as /proc/PID/stat has it */
	double started, started_at; /* monotonic; realtime */
	double beat, start_due, kill_due, restart_at; /* monotonic */
	double deaths[SETTINGS_DEATHS];               /* newest first */
	unsigned strikes;                             /* deaths without a long life between them */
	uint32_t held_next; /* next held fd to offer; KEEPER_HELD when BEGIN is sent */
	bool failing, leaving, was_up, aborted, announced;
	int code; /* of LEAVING */
	enum host_state said;
	char phase[32];
	uint32_t ready, sessions, in_flight;
	double lag;
	bool waiting_room; /* the send slot holds a message */
	struct ipc_message slot;
};

struct held {
	int fd;         /* owned; -1: free */
	uint32_t users; /* bit i: generations[i] uses it */
	char name[KEEPER_NAME];
};

/* A generation: a number, a binary, a bundle. */
struct generation {
	uint32_t number;              /* 0: free */
	int binary, settings, bundle; /* owned */
	uint32_t workers;
	bool was_ready;
};

/* A signal whose hooks the speaker runs; it is acted on at `due` even without an answer. */
struct pending {
	uint32_t id; /* 0: free */
	int signo;
	pid_t sender;
	enum host_verb verb;
	double at, due;
};

struct reader {
	pid_t pid; /* 0: none runs */
	int pidfd, channel, settings, bundle, faults;
	double due;
	uint32_t requester, request, requester_generation; /* 0: nobody waits for a RESULT */
	bool again; /* a second reload came while this one runs */
};

struct keeper {
	const struct keeper_opts *opts;
	struct settings settings;
	enum host_state state;
	char phase[32], reason[64];
	double since;                                     /* realtime of the newest state */
	int signals, lock, sock, binary, pidfile, detach; /* fds */
	struct generation generations[KEEPER_GENERATIONS];
	uint32_t active; /* number of the active generation */
	struct worker workers[KEEPER_WORKERS];
	struct held held[KEEPER_HELD];
	struct pending pending[KEEPER_SIGNALS];
	struct reader reader;
	uint32_t next_id;
	char nonce[33], terminal;
	/* the stop */
	bool loaded, was_ready, stopping, hammered, told_stopping, ended, reload_kept;
	unsigned stop_count;
	double stop_last, hammer_at, abandon_at;
	int code; /* worst exit code of an orderly end */
	int last_exit, last_signal;
	uint32_t restarts;
	bool failed, dirty; /* dirty: the state files and STATUS are to be written anew */
};

extern struct keeper keeper;

/* ---- keeper.c ---- */
/* The one setter of the host's state: logs old -> new, writes the files, tells the service manager.
 */
void keeper_enter(enum host_state state, const char *phase, const char *reason);
/* Ends the loop with this exit status. */
void keeper_end(int code);
struct generation *keeper_generation(uint32_t number);
/* A worker ended in order, or during a stop, with this status; when it was the last, so ends the
 * host. */
void keeper_worker_ready(struct worker *w);
/* After an abort or an undrain: the stop's clocks and counts are void. */
void keeper_undo_stop(void);
void keeper_left(struct worker *w, int code);
/* A worker ended before its generation was ever ready. */
void keeper_start_failed(struct worker *w, int code);
/* SIGKILL for every worker and its process group. */
void keeper_hammer(const char *why);
/* Ends the host when a stop was asked for and no worker lives. */
void keeper_check_end(void);
/* The first settings have come: folder, lock, privileges, the first workers. */
void keeper_loaded(void);
/* Workers that wait for a slow retry start now: a new config may have cured them. */
void keeper_retry(void);
/* Reaps every child that has ended, known or not. */
void keeper_reap(void);
/* After a suspend: no worker is judged by time in which we did not look. */
void keeper_restart_clocks(double late);
/* New generation with copies of the fds of `like` (or -1): its workers start at once. */
struct generation *keeper_generation_start(int settings, int bundle);

/* ---- spawn.c ---- */
enum spawn_role { SPAWN_READER, SPAWN_WORKER };
struct spawned {
	pid_t pid;
	int pidfd, channel;
};
/* Starts a role of our own binary with a channel on its fd 3; 0, or -1 with errno. */
int spawn_role(enum spawn_role role, int binary, bool reload, struct spawned *s_r);
/* The first part of a start as root: gives up every capability but those the keeper needs. */
int spawn_drop_capabilities(void);

/* ---- worker.c ---- */
void worker_start(struct worker *w);
void worker_slot_init(struct worker *w, uint32_t generation, uint32_t number);
/* Reads everything that the channel has. */
void worker_readable(struct worker *w);
void worker_writable(struct worker *w);
/* Called when its process has ended with this siginfo status. */
void worker_died(struct worker *w, int status, bool by_signal);
/* Acts on deadlines that are over. */
void worker_clock(struct worker *w, double now);
double worker_due(const struct worker *w);
/* Queues in the send slot when the channel is full; a second one is dropped with a log line. */
void worker_send(struct worker *w, const struct ipc_message *m);
void worker_send_status(struct worker *w);
void worker_event(const struct worker *w, const char *event, int code, int signo);
void worker_kill(struct worker *w, int signo);
bool worker_lives(const struct worker *w);
struct worker *worker_of(uint32_t generation, uint32_t number);
struct worker *worker_of_pid(pid_t pid);
/* The worker that runs hooks: the lowest ready one of the active generation; NULL if there is none.
 */
struct worker *worker_speaker(void);
void worker_result(struct worker *w, uint32_t id, bool ok, const char *text, int fd);

/* ---- held.c ---- */
void held_init(void);
void held_adopt_listen_fds(void);
/* Takes fd, also on failure; NULL or why it is refused. */
const char *held_take(const char *name, int fd, uint32_t generation);
void held_drop(const char *name, uint32_t generation);
void held_drop_all(uint32_t generation);
/* The generation uses all that is held now. */
void held_offer_all(uint32_t generation);
uint32_t held_count(void);
/* A new socket bound to privileged address `index`; -1 with errno. */
int held_bind(uint32_t index);

/* ---- signals.c ---- */
int signals_open_fd(void);
void signals_readable(void);
void signals_answer(uint32_t id, const char *result, const char *text);
/* The verb shutdown for all workers, after one of them left by itself. */
void signals_stop_others(void);
void signals_clock(double now);
double signals_due(void);
/* A stop request, drain, reload …; `at` is when it was asked. NULL, or why it is refused. */
const char *signals_verb(enum host_verb verb, const char *text, const char *origin, double at);
/* A request of a worker, answered with RESULT. */
void signals_request(struct worker *w, uint32_t id, enum host_verb verb, const char *text);

/* ---- reload.c ---- */
void reload_init(void);
/* Starts the reader; 0, or -1 with errno. */
int reload_start(void);
void reload_readable(void);
void reload_died(int status, bool by_signal);
void reload_clock(double now);

/* ---- notify.c ---- */
void notify_init(void);
void notify_state(const char *words);
/* STATUS= from the keeper's state. */
void notify_status(void);
double notify_clock(double now);

/* ---- rundir.c ---- */
/* Makes the folder, takes the lock, refuses a second run, opens keeper.sock, writes the PID file.
 * 0, or the exit status with the reason logged. */
int rundir_open(void);
void rundir_write_state(void);
void rundir_close(void);
/* /proc/PID/stat's start time; 0 if there is no such process. */
unsigned long long rundir_ticks(pid_t pid);

#endif
