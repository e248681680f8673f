/* The worker's end of the channel to its keeper: what came at the start, beats, and what is sent.
 * When the keeper dies: worker_orphan.h. */
#ifndef BINDINGS_WORKER_CHANNEL_H
#define BINDINGS_WORKER_CHANNEL_H

#include "proc/ipc.h"
#include "proc/settings.h"

#include <ev.h>
#include <sys/types.h>

/* A descriptor that the keeper holds: it arrived at the start, or was given to it. */
struct channel_held {
	char *name;   /* owned */
	int fd;       /* owned until it is taken; -1 then */
	bool claimed; /* some listener uses it */
	int used;     /* the number under which it is used here, borrowed; -1: unknown */
	dev_t dev;    /* which socket `used` was: the number may mean another one by now */
	ino_t ino;
};

/* What the keeper says of one worker. */
struct channel_status {
	uint32_t generation, worker, pid, state, restarts;
	double started, age,
	    at; /* age: of its last beat when this came, -1 unknown; at: when it came */
};

/* Called for every message but STATUS, in the loop; its fds are closed afterwards. NULL: the keeper
 * has died. */
typedef void channel_message_fn(struct ipc_message *m);

/* One in a process; all fields are ro for others unless said otherwise. */
struct worker_channel {
	int fd; /* -1: no keeper */
	struct settings settings;
	int bundle, settings_fd; /* sealed memfds */
	int bundle_error;        /* errno: the newest one could not be used, `bundle` is older; 0 */
	/* what a rollback runs, for a keeper after this one; owned, -1: nothing */
	int previous_settings, previous_bundle, previous_program;
	uint16_t version; /* of the channel, as HELLO was said */
	uint32_t generation, worker, workers, keeper_pid, inherited, restarts;
	bool passive;
	bool joins;            /* gates shut until COMMIT says otherwise */
	bool lost;             /* no keeper, or one that has not adopted us yet */
	bool is_ready;         /* READY was said, or would have been */
	enum host_state state; /* the newest that was told, or would have been */
	char nonce[64], config_file[SETTINGS_PATH];
	struct channel_held *held;
	size_t nheld;
	struct channel_status *status;
	size_t nstatus;
	/* numbers for the next beat; written by lua_keeper.c */
	uint32_t ready, sessions, in_flight;
	char failing[128]; /* the probation check that fails, and why; "" */
	double lag;        /* longest delay of the beat timer since the last beat, seconds */
	channel_message_fn *on_message;
};

extern struct worker_channel worker_channel;

/* Receives HELLO, every HELD and BEGIN from channel `fd` within 10 s. 0, or -1 with errno. */
int channel_open(int fd);

/* Watches the channel before everything else in a turn. */
void channel_start(struct ev_loop *loop);
void channel_stop(void);

/* ---- for worker_orphan.c: no keeper, and another one ---- */
/* Takes the end of a new channel and watches it. */
void channel_connect_take(int fd);
/* Closes the channel; what was to be sent is dropped, held descriptors stay. */
void channel_disconnect(void);
/* The loop in which the channel is watched, or NULL. */
struct ev_loop *channel_loop(void);
/* Beats go on as they did after READY. */
void channel_start_beats(void);
/* The descriptor behind a held name, borrowed: one that waits to be taken, or the one in use; -1 if
 * this process has it no more. */
int channel_held_fd(const struct channel_held *h);

/* A number for a request. */
uint32_t channel_next_id(void);

/* Sends, or keeps it until the channel takes it (fds are duplicated). Format: ipc_pack.
 * 0, or -1 with errno. */
int channel_tell(enum ipc_type type, uint32_t id, const char *format, ...);

/* READY, and beats from now on. */
int channel_ready(void);

/* Waits at most `seconds` for the message with this id; what else comes is kept for the loop.
 * 0 and *m_r, or -1 with errno (ETIMEDOUT, EPIPE). */
int channel_wait(uint32_t id, double seconds, struct ipc_message *m_r);

/* ---- worker_held.c ---- */
/* HELD or KEPT: its descriptor waits to be taken. 0, or -1 with errno (EPROTO, ENOMEM). */
int channel_take_held(struct ipc_message *m);
/* The held descriptor of that name, now the caller's and claimed; -1 if there is none. */
int channel_take(const char *name);
/* The name is in use by fd (borrowed). */
void channel_claim(const char *name, int fd);
void channel_forget(const char *name);

#endif
