/* What outlives a keeper that dies: its workers, and what it knew of upgrades. */
#ifndef PROC_ATTACH_H
#define PROC_ATTACH_H

#include "proc/table.h"

/* ---- attach.c: those that come ---- */
/* keeper.sock has a connection; a connection has its first word. */
void attach_accept(void);
void attach_readable(struct knock *k);
/* PROGRAM and ATTACHED of an orphan; false: it may not say that. Takes fd. */
bool attach_program(struct worker *w, int fd);
/* PREVIOUS and PREVIOUS_PROGRAM of an orphan; false: it may not say that. */
bool attach_previous(struct worker *w, struct ipc_message *m);
bool attach_done(struct worker *w);
/* Acts on what is due, of attach_settle.c too; returns the next deadline. */
double attach_clock(double now);
/* The one that RUNTIME/state names so, or NULL. */
struct orphan *attach_named(uint32_t generation, uint32_t number);
/* Where a worker of that number goes: its old place if nothing lives there, or a free one; NULL:
 * its place is taken. */
struct worker *attach_place(uint32_t generation, uint32_t number);
/* One that is not the active generation: an older one finishes; a younger one, which an upgrade
 * left behind, ends. */
void attach_end_other(struct generation *g);

/* ---- attach_settle.c: who of them is the host ---- */
/* Waits for the orphans that were named, then starts what is missing: a whole generation from these
 * two (borrowed) if nobody comes. */
void attach_begin(int settings, int bundle);
/* The host ends: SIGKILL for orphans that have not come. */
void attach_end(void);
/* Lines of RUNTIME/state for orphans that live and have not come yet; returns their length. */
size_t attach_state_lines(char *to, size_t size);
double attach_settle_clock(double now);

/* ---- upgrade_kept.c: over the death of a keeper ---- */
/* The line of RUNTIME/state that says what upgrade runs and how the last one ended; its length. */
size_t upgrade_state_line(char *to, size_t size);
/* What follows "upgrade " in that line, at the start. `orphans`: the host goes on with them. */
void upgrade_read_line(const char *text, bool orphans);
/* Generation `active` (0: none) is the service: that is the outcome of an upgrade that the old
 * keeper did not end. */
void upgrade_resolve(uint32_t active);

#endif
