/* Messages between keeper, workers and readers: one SOCK_SEQPACKET datagram each, typed and
 * versioned.
 *
 *   header  magic, version, type, generation, worker, id, length     24 bytes, host byte order
 *   body    at most IPC_BODY_MAX bytes: u32, f64 and text fields in the order of the type's line
 * below fds     at most IPC_FDS_MAX, of the one kind that the type allows
 *
 * Writer and reader are symmetric: one format string on both sides, read exactly to its end.
 * Receipt is strict: a wrong magic, version, type, direction, length, a cut message, more fds than
 * the type allows or one of another kind is EPROTO, and every fd of that message is closed.
 *
 * The version is per channel: who starts a worker says HELLO in a version that both know, and all
 * that follows is in that one. A program knows two: IPC_VERSION and the one before; a reader speaks
 * the one before, so that an older keeper hears it, and is heard down to the one before that. To
 * add a type: raise IPC_VERSION, put the type at the end, with its version in ipc.c; it is not sent
 * to who does not know it. To change a body: a new type.
 *
 * A worker may say the ten words from IPC_READY to IPC_LEAVING, two of its children, ask for what
 * another worker has bound, and as an orphan three more; none carries a path, pid or command. */
#ifndef PROC_IPC_H
#define PROC_IPC_H

/* What the names of kept descriptors begin with, and no listener's does. */
#define IPC_KEPT_PREFIX "keep=/"
/* … and those of the worker's log files: no module's name begins so (log_files.c). */
#define IPC_LOG_PREFIX IPC_KEPT_PREFIX "=log/"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	IPC_MAGIC = 0x31574447, /* "GDW1" */
	IPC_VERSION = 4,
	IPC_VERSION_OLDEST = IPC_VERSION - 1,
	IPC_VERSION_READER =
	    IPC_VERSION_OLDEST - 1, /* what a reader of the version before speaks */
	IPC_MESSAGE_MAX = 1024,
	IPC_BODY_MAX = 1000,
	IPC_TEXT_MAX = 900,
	IPC_FDS_MAX = 16,
	IPC_TICKET_KEY = 80, /* bytes of a key of TLS session tickets */
	IPC_TICKET_BYTES = 3 * IPC_TICKET_KEY,
	IPC_JOINS = 2, /* HELLO's mode: gates shut until the commit */
};

enum ipc_type {
	IPC_NONE,
	/* keeper -> worker */
	IPC_HELLO, /* uuuuuss workers, mode (0; 1 passive; IPC_JOINS), keeper's pid, held, restarts,
		      nonce, config file; [settings, bundle] */
	IPC_HELD,  /* s name; [listener] */
	IPC_BEGIN, /* all HELD were sent */
	IPC_BUNDLE,  /* id of the reload; [settings, bundle] */
	IPC_SIGNAL,  /* id; ussu signal, verb, state, sender */
	IPC_VERB,    /* id; suss verb, forced, origin, text */
	IPC_RESULT,  /* id of the request; us ok, text; [faults] */
	IPC_BOUND,   /* id of the request; [listener] */
	IPC_STATUS,  /* uuuuuuuff index, count, generation, worker, pid, state, restarts, started,
			beat's age */
	IPC_EVENT,   /* uusuuu generation, worker, event, exit, signal, restarts */
	IPC_PEER,    /* u number of the other worker; [channel] */
	IPC_KEYS,    /* [IPC_TICKET_BYTES: keys of session tickets, newest first] */
	IPC_COMMIT,  /* id; su step (yield, take, activate, yielded, resume, retire, end), the other
			generation; [text: yield: names that only the old one uses; take: what was
			saved] */
	IPC_UPGRADE, /* id is its number; suuffsssfffuuu state, from, target, seconds, left (-1:
			none); of the last one: outcome, state, reason, when, seconds, pause; how
			many committed, failed, rolled back */
	/* worker -> keeper */
	IPC_READY,  /* all its listeners listen */
	IPC_HOLD,   /* s name; [listener] */
	IPC_UNHOLD, /* s name */
	IPC_BIND,   /* id; u index into the settings' privileged addresses */
	IPC_STATE,  /* ufss state, seconds left, phase, reason */
	IPC_BEAT,   /* uuufs ready, sessions, in flight, loop lag, the probation check that fails */
	IPC_REQUEST, /* id; ss verb, text */
	IPC_ANSWER,  /* id of the signal or bundle; ss result, text */
	IPC_ACK,     /* id of the COMMIT; us ok, why not; [text: what is saved, of a yield] */
	IPC_LEAVING, /* us code, text */
	/* reader -> keeper */
	IPC_SETTINGS, /* [settings, bundle] */
	IPC_FAULTS,   /* [text] */
	/* orphan -> new keeper, instead of an answer to HELLO; a HOLD for each descriptor follows
	 */
	IPC_ATTACH, /* uuuus state, ready, workers, restarts, nonce; [settings, bundle] */
	/* place kept: handover of connections */
	IPC_ESCROW,
	/* worker -> keeper */
	IPC_CHILD,       /* its id; u survives; [pidfd] */
	IPC_CHILD_ENDED, /* its id */
	IPC_KEEP,        /* s name; [any descriptor]: kept as a listener is held */
	/* keeper -> worker */
	IPC_KEPT, /* s name; [any descriptor]; among the HELD */
	/* orphan -> new keeper, after ATTACH */
	IPC_PROGRAM,  /* [its own binary] */
	IPC_ATTACHED, /* that was all */
	/* new keeper -> orphan; a refusal is a RESULT */
	IPC_ADOPTED, /* u keeper's pid */
	/* keeper -> worker, which keeps it for the next keeper; orphan -> new keeper, after ATTACH:
	   what a rollback runs. Since version 3 */
	IPC_PREVIOUS,         /* [settings, bundle] */
	IPC_PREVIOUS_PROGRAM, /* [binary] */
	/* worker -> keeper: a listener that another worker has bound since our HELLO. Version 4 */
	IPC_WANT, /* id; s name: BOUND or RESULT follows */
	IPC_TYPES
};

/* Who speaks: a message of another speaker's types is refused. */
enum ipc_from { IPC_FROM_KEEPER = 1, IPC_FROM_WORKER = 2, IPC_FROM_READER = 4 };

enum ipc_fd_kind {
	IPC_FD_NONE,
	IPC_FD_LISTENER, /* bound or listening stream, or bound datagram socket: inet, inet6, unix
			  */
	IPC_FD_TEXT,     /* memfd sealed against write, grow and shrink */
	IPC_FD_PIDFD,    /* stands for a process */
	IPC_FD_CHANNEL,  /* connected SOCK_SEQPACKET unix socket */
	IPC_FD_ANY,      /* whatever is open: it is kept, never used */
	IPC_FD_PROGRAM,  /* regular file that may be executed */
};

struct ipc_header {
	uint32_t magic;
	uint16_t version, type;
	uint32_t generation, worker, id, length;
};

struct ipc_message {
	struct ipc_header header;
	uint8_t body[IPC_BODY_MAX];
	bool bad; /* private */
	/* ro; received ones belong to the message until ipc_give_fd or ipc_close_fds */
	int nfds;
	int fds[IPC_FDS_MAX];
};

/* "hello", "beat" …; "?" for what is no type. */
const char *ipc_type_name(unsigned type);

/* Whether a channel of that version has the type. */
bool ipc_type_in(enum ipc_type type, unsigned version);

/* Makes a message of IPC_VERSION; header.version may be set to an older one that has its type.
 * `format` has one letter a field: u uint32_t, f double, s text (const char *, cut
 * at IPC_TEXT_MAX), d fd (borrowed: sending does not close it). What does not fit marks the message
 * bad. */
void ipc_pack(struct ipc_message *m, enum ipc_type type, uint32_t id, const char *format, ...);
void ipc_vpack(
    struct ipc_message *m, enum ipc_type type, uint32_t id, const char *format, va_list args);

/* Takes it apart: u uint32_t *, f double *, s char * and size_t. false unless the body was exactly
 * that: nothing missing, nothing left, no NaN, each text without NUL and short enough. */
bool ipc_unpack(const struct ipc_message *m, const char *format, ...);

/* Sends without blocking. 0, or -1 with errno (EAGAIN; EPROTO for a bad message). */
int ipc_send(int channel, const struct ipc_message *m);

/* Receives one message from that speaker without blocking. 1; 0 at the end of the channel; -1 with
 * errno (EAGAIN; EPROTO for what breaks a rule above: the channel is of no more use; EMFILE: this
 * process has no descriptors left for those that came with it, the rest of *m can be read). */
int ipc_recv(int channel, struct ipc_message *m, enum ipc_from from);

/* Fd number i, the caller's from now on; -1 if there is none. */
int ipc_give_fd(struct ipc_message *m, int i);
void ipc_close_fds(struct ipc_message *m);

/* Whether fd is of that kind. */
bool ipc_fd_is(int fd, enum ipc_fd_kind kind);

/* A connected pair of channels, close-on-exec and non-blocking; 0, or -1 with errno. */
int ipc_pair(int pair[2]);

#endif
