/* What a reload's reader has handed over comes into force: in the keeper, and in every worker of
 * the active generation. */
#ifndef PROC_BUNDLE_H
#define PROC_BUNDLE_H

#include <stdbool.h>
#include <stdint.h>

struct generation;
struct settings;
struct worker;

/* What cannot change while the host runs gets its old value in *s. */
void bundle_keep_fixed(struct settings *s);
/* What is to be said of a generation that has become the active one (or NULL): "", or "; " and
 * which of those its config has changed. */
const char *bundle_fixed_note(const struct generation *g);
/* The reader's settings, checked, and its bundle replace the old, here and in every worker. */
void bundle_take(struct settings *s);
/* Whether a worker has not been sent the bundle yet, its channel being full. What it is told
 * meanwhile comes after the bundle. */
bool bundle_unsent(const struct worker *w);
/* Sends it, if the channel takes it now. */
void bundle_send(struct worker *w);
/* A worker has applied the bundle with this id; other ids are passed over. */
void bundle_applied(const struct worker *w, uint32_t id);
/* A worker has ended: it applies nothing more and hears no answer. */
void bundle_lost(const struct worker *w);
/* The manager hears READY if all have applied it, or there is none. */
void bundle_look(void);
/* Whether a worker has yet to apply it. */
bool bundle_is_under_way(void);
/* Acts on what is due; returns the next deadline. */
double bundle_clock(double now);

#endif
