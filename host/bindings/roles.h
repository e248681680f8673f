/* The two roles that the keeper starts. */
#ifndef BINDINGS_ROLES_H
#define BINDINGS_ROLES_H

/* `gadwall --role=worker …`: channel to the keeper on fd 3. Returns the exit status. */
int role_worker(int argc, char **argv);

/* `gadwall --role=reader -c FILE …`: channel to the keeper on fd 3. Returns the exit status. */
int role_reader(int argc, char **argv);

#endif
