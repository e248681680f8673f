/* What a worker gets at its start besides HELLO: the held descriptors, BEGIN, and channels to the
 * other workers of its generation. */
#ifndef PROC_OFFER_H
#define PROC_OFFER_H

#include <stdbool.h>

struct worker;

/* Sends the held descriptors, as many as the channel takes; then BEGIN: true when that has gone. */
bool offer_held(struct worker *w);

/* Gives it and the others of its generation that have begun a channel to each other. */
void offer_peers(struct worker *w);

#endif
