/* What the files of the keeper are to each other; included by proc/table.h, which has the memory.
 */
#ifndef PROC_PARTS_H
#define PROC_PARTS_H

#include "proc/attach.h"
#include "proc/table.h"

/* ---- keeper.c ---- */
/* The one setter of the host's state: logs old -> new, tells files and service manager. */
void keeper_enter(enum host_state state, const char *phase, const char *reason);
/* Ends the loop with this exit status. */
void keeper_end(int code);
/* Ends the host when a stop was asked for and no worker lives. */
void keeper_check_end(void);
/* After an abort or an undrain: the stop's clocks and counts are void. */
void keeper_undo_stop(void);
/* Generation 1 is ready. */
void keeper_ready(void);
/* A worker ended in order, or during a stop, with this status. */
void keeper_left(const struct worker *w, int code);
/* SIGKILL for every worker and its process group. */
void keeper_hammer(const char *why);
/* The loop until the end, and the end; returns the exit status of the host. */
int keeper_run(void);
/* Reaps every child that has ended, known or not. */
void keeper_reap(void);
/* After a suspend of `late` seconds: no worker is judged by time in which we did not look. */
void keeper_restart_clocks(double late);
/* The worse of two exit statuses (gadwall(8), EXIT STATUS). */
int keeper_worse(int a, int b);

/* ---- generation.c ---- */
/* The one of that number, or NULL. */
struct generation *generation_of(uint32_t number);
/* How many places are taken. */
unsigned generation_count(void);
/* The oldest one that finishes, or NULL. */
struct generation *generation_oldest(void);
/* A new generation with copies of these descriptors, whose workers start at once. NULL: no room, or
 * the settings cannot be read. */
struct generation *generation_start(
    const struct generation_parts *parts, enum generation_role role);
/* One of a keeper that died, with copies of these; it retires until it is known to be the active
 * one. NULL, or why it cannot be. */
const char *generation_adopt(uint32_t number, const struct generation_parts *parts);
/* A worker said READY. */
void generation_worker_ready(const struct worker *w);
/* Whether the end of one of its workers means anything to the host: one that takes part in a stop,
 * and one that would be restarted. */
bool generation_is_needed(uint32_t number);
/* SIGKILL for its workers and their process groups; nothing is restarted. */
void generation_kill(struct generation *g, const char *why);
/* It finishes its sessions and ends; `now`: its time is over, goodbyes and 5 s. */
void generation_retire(struct generation *g, bool now);
/* Whether a worker of it lives and is ready. */
bool generation_answers(uint32_t number);
/* Generations whose last worker has ended give back their places. */
void generation_release(void);
/* Acts on what is due; returns the next deadline. */
double generation_clock(double now);
/* Three descriptors that are none. */
void parts_init(struct generation_parts *parts);
void parts_close(struct generation_parts *parts);
/* `to` gets copies of from's; what it had is closed. */
void parts_copy(struct generation_parts *to, const struct generation_parts *from);

/* ---- upgrade.c ---- */
/* VERB_UPGRADE. text: lines `check` (ends before the commit), `binary=PATH`, `config=PATH` (the two
 * from a keeper that is not root only). NULL: it has begun, and `w` (or nobody) gets RESULT `id` at
 * the outcome. Else why it is refused. */
const char *upgrade_request(struct worker *w, uint32_t id, const char *text);
/* VERB_ROLLBACK: the older generation takes back, or a new one runs the previous binary. */
const char *upgrade_rollback(struct worker *w, uint32_t id);
/* The reader of the new binary has ended; NULL or why. */
void upgrade_read(const char *why);
/* Of a worker: its first word; READY of the last one of its generation. */
void upgrade_heard(const struct worker *w);
void upgrade_ready(const struct generation *g);
/* A worker has died, or hangs (it is being killed), or says that a probation check fails. */
void upgrade_lost_worker(const struct worker *w, const char *how);
/* A stop or finish is asked for: what is not committed is undone. */
void upgrade_abandon(const char *why);
/* The outcome of the commit. */
void upgrade_committed(double pause);
void upgrade_fail(const char *why);
/* UPGRADE for one worker: the newest state, and the outcome of the last. */
void upgrade_tell(struct worker *w);
/* PREVIOUS and PREVIOUS_PROGRAM for one worker, if there is a previous binary. */
void upgrade_tell_previous(struct worker *w);
/* After the outcome: what becomes of the keeper itself; replaces the last such note. */
void upgrade_note(const char *text);
/* "check", "spawn" …; "none". */
const char *upgrade_state_name(enum upgrade_state state);
double upgrade_clock(double now);
/* Its deadlines, the commit's and those of generations that retire, after a suspend. */
void upgrade_restart_clocks(double late);

/* ---- upgrade_rules.c ---- */
/* Why no upgrade or rollback that starts a generation can begin now, in words that name the state;
 * valid until the next call. NULL: it can. */
const char *upgrade_refusal(void);
/* Opens the binary of an upgrade, once: whatever happens to its name, this file is checked and run.
 * `asked`: its path; "": upgrade_binary, or the keeper's own. O_PATH, the caller's; -1 and why. */
int upgrade_open_binary(const char *asked, char *why, size_t size);

/* ---- commit.c ---- */
/* Begins; upgrade_committed or upgrade_fail follows within 4 s, perhaps at once. */
void commit_begin(uint32_t from, uint32_t to, bool back);
/* Before the record: `from` goes on as before. Nothing is reported. */
void commit_cancel(void);
/* ACK of a worker; false if it is none. */
bool commit_acked(struct worker *w, struct ipc_message *m);
/* A worker of one of the two has died. */
void commit_lost_worker(const struct worker *w);
/* Whether restarts of this generation have to wait for the outcome. */
bool commit_holds(uint32_t generation);
double commit_clock(double now);

/* ---- spawn.c ---- */
/* What a child is started for. */
struct role {
	bool is_worker; /* else a reader */
	int binary;
	const struct settings *settings; /* whose rights a worker gets */
	const char *config_file;         /* for a reader; NULL: it finds it */
};
/* Starts a role of that binary with a channel on its fd 3; 0, or -1 with errno. */
int spawn_role(const struct role *role, pid_t *pid_r, int *pidfd_r, int *channel_r);
/* Through a pidfd, so never to another process; -1 is harmless. 0, or -1: there is none. */
int spawn_kill(int pidfd, int signo);

/* ---- worker.c ---- */
void worker_slot_init(struct worker *w, uint32_t generation, uint32_t number);
void worker_start(struct worker *w);
/* The version of its channel. */
unsigned worker_version(const struct worker *w);
/* In the version of its channel. false: it is full; EPIPE is nothing, a death is on its way. */
bool worker_send(const struct worker *w, struct ipc_message *m);
/* As ipc_pack, to who knows the type; a full channel keeps one, drops the next with a log line. */
void worker_tell(struct worker *w, enum ipc_type type, uint32_t id, const char *format, ...);
void worker_tell_status(struct worker *to);
void worker_writable(struct worker *w);
/* Its process has ended. status WORKER_UNKNOWN: nobody knows how. */
void worker_died(struct worker *w, int status, bool by_signal);
/* SIGKILL for it and its process group. */
void worker_kill_group(const struct worker *w);
/* Acts on what is due; returns the next deadline. */
double worker_clock(struct worker *w, double now);
/* Restarts that wait happen now: a new config may have cured them. */
void worker_retry_all(void);
/* An end was taken back: those of the active generation that have ended start again. */
void worker_bring_back(void);
bool worker_lives(const struct worker *w);
struct worker *worker_of(uint32_t generation, uint32_t number);
/* The worker that runs hooks: the lowest ready one of the active generation, or NULL. */
struct worker *worker_speaker(void);

/* ---- words.c ---- */
/* Reads what the channel has, and acts on it. */
void words_readable(struct worker *w);

/* ---- held.c ---- */
/* Takes fd, also on failure; NULL or why it is refused. */
const char *held_take(const char *name, int fd, uint32_t generation);
/* The generation does not use this name (NULL: any) any more. */
void held_drop(const char *name, uint32_t generation);
/* The descriptor of that name, borrowed, if that generation uses it already; -1 otherwise. */
int held_lend(const char *name, uint32_t generation);
/* The generation uses all that is held now; returns how many. */
uint32_t held_offer(uint32_t generation);
/* Whether it is the name of a descriptor that modules keep, not of a listener. */
bool held_is_kept(const char *name);
/* Its bit in `users`; 0 for one that is not there. */
uint32_t held_bit(uint32_t generation);
/* A new socket bound to privileged address `index`; -1 with errno. */
int held_bind(uint32_t index);

/* ---- children.c ---- */
/* A worker has started a child, or has seen its end; false for what breaks the protocol. */
bool children_word(struct worker *w, struct ipc_message *m);
/* The worker has ended: what it left gets SIGTERM, unless it survives. */
void children_orphaned(const struct worker *w);
/* Its number is about to be given back: what is left of its group ends, if it was told to. */
void children_reaping(pid_t pid);
/* Acts on what is due; returns the next deadline. */
double children_clock(double now);
/* SIGKILL for all that do not survive this end of the host. */
void children_end(void);

/* ---- signals.c ---- */
void signals_readable(void);
void signals_answer(uint32_t id, const char *result, const char *text);
/* Acts on what is due; returns the next deadline. */
double signals_clock(double now);
/* A request of a worker, answered with RESULT. */
void signals_request(struct worker *w, uint32_t id, enum host_verb verb, const char *text);
/* A stop or finish that was asked for while nothing could be stopped. */
void signals_run_kept(enum host_verb verb);
/* The verb for every worker that lives; drain, undrain and report for those of the active
 * generation. */
void signals_broadcast(enum host_verb verb, const char *text, const char *origin, bool forced);

/* ---- reload.c ---- */
/* Starts the reader; 0, or -1 with errno. */
int reload_start(void);
/* Starts it for upgrade.c, with that binary; 0, or -1 with errno (EBUSY: another one runs). */
int reload_read_for_upgrade(int binary, const char *config_file);
void reload_readable(void);
/* The reload that was asked for before the host was ready, if there was one. */
void reload_run_kept(void);
void reload_died(int status, bool by_signal);
double reload_clock(double now);

/* ---- tickets.c ---- */
/* The first keys; 0, or -1 with errno. */
int tickets_open(void);
/* A new key makes tickets from now on, the oldest is forgotten; 0, or -1 with errno. */
int tickets_rotate(void);
/* The keys for a worker that starts; tickets_clock tries again what its channel does not take. */
void tickets_tell(struct worker *w);
/* Acts on what is due; returns the next deadline. */
double tickets_clock(double now);

/* ---- notify.c ---- */
void notify_init(void);
void notify_state(const char *words);
/* The service manager keeps a dup under that name, so that it outlives a crash of ours; or lets go
 * of what it keeps. It comes back as LISTEN_FDS. */
void notify_store(const char *name, int fd);
void notify_unstore(const char *name);
/* RELOADING=1: a reload or an upgrade begins; READY=1 ends it. */
void notify_reloading(void);
/* STATUS= from the keeper's state, when it has changed. */
void notify_status(void);
double notify_clock(double now);

/* ---- log_files.c ---- */
/* From now on the keeper's lines go to the log files of the active generation too; reads the time
 * zone. Before the loop. */
void log_files_open(void);

/* ---- state.c ---- */
void state_write(void);
/* Removes PID file and keeper.sock, and lets the lock go. */
void state_close(void);
/* The text of /proc/PID/NAME, cut to `size`; "" if there is none. */
void state_read_proc(pid_t pid, const char *name, char *to, size_t size);
/* /proc/PID/stat's start time; 0 if there is no such process, or only its zombie. */
unsigned long long state_ticks(pid_t pid);

/* ---- carry.c: the keeper's memory and descriptors, for the binary after this one ---- */
/* Writes the state to an empty memfd; 0, or -1 with errno. What was read is written in the shape
 * that it had, so that a reader that forgets anything is found out. */
int carry_write(int fd);
/* Reads it into `keeper`, which must be zero, and checks every descriptor; NULL or what is wrong.
 */
const char *carry_read(int fd);
/* What was read is ours: from now on it is written in our own shape. */
void carry_settle(void);
/* Every descriptor of the state is inherited by the next exec, or (false) closed by it. */
void carry_inherit(bool yes);

/* ---- reexec.c ---- */
void reexec_init(void);
/* The binary of the active generation is the keeper's from now on, or (if it is another file or
 * `forced`) as soon as nothing is under way. */
void reexec_want(bool forced);
/* The trial has ended. */
void reexec_tried(int status, bool by_signal);
/* Ends a trial that runs. */
void reexec_end(void);
double reexec_clock(double now);

/* ---- start*.c: what runs before the loop turns, or in a child before exec ---- */
/* The keeper's memory, with no descriptor in it. */
void start_memory(const struct keeper_opts *opts);
/* Descriptors, signals, our own binary; 0, or -1 with errno. */
int start_open(const struct keeper_opts *opts);

/* The same for a keeper that has changed its binary: rights, signals, our own binary; 0, or -1
 * with errno. */
int start_again(void);
/* Closes what a careless parent left open, but for LISTEN_FDS: a keeper lives long, and a socket
 * that it holds unknowingly never ends for its peer. The first thing of all. */
void start_close_inherited(void);
/* The first settings have come: folder, lock, privileges, the first workers. */
void start_loaded(void);
/* Makes the folder, takes the lock, refuses a second run, opens keeper.sock, writes the PID file.
 * 0, or the exit status with the reason logged. */
int start_rundir(void);
/* Reads RUNTIME/state of the keeper before us: who lives, and the nonce that they know. */
void start_read_orphans(int dir);
/* In the child: never returns. */
void start_child(const struct role *role, int channel) __attribute__((noreturn));

/* The first reader is this function in the child (keeper_opts.reader). */
void start_child_reader(int (*reader)(int argc, char **argv));

#endif
