/* The process title: what ps and top show. */
#ifndef BASE_TITLE_H
#define BASE_TITLE_H

/* Shows `text` instead of the argument list, which is lost, and as the thread's name (15 bytes).
 * The first call copies the environment away, because its room is written over; call it before
 * anything keeps a pointer into argv or environ. Longer than the room is cut. */
void title_set(const char *text);

#endif
