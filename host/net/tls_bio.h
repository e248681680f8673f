/* For tls.c: the socket as OpenSSL sees it. Reads come out of one receive a turn, in a buffer that
 * all connections share; what a step of a handshake writes waits for its end. */
#ifndef NET_TLS_BIO_H
#define NET_TLS_BIO_H

#include "net/tls.h"

/* Of all connections' BIOs, whose data is their struct tls; NULL: no memory. */
const BIO_METHOD *tls_bio_method(void);

/* Around the calls into OpenSSL that read. receives: the socket may be asked, once, when what is
 * held has been taken. end: records that OpenSSL did not ask for are held in the connection,
 * because there is no event that tells of them; without memory for them it is dead, its end ENOMEM.
 */
void tls_bio_begin(struct tls *tls, bool receives);
void tls_bio_end(struct tls *tls);

/* Sends what is late: 0 if all of it has gone, else -1 with errno. */
int tls_bio_push(struct tls *tls);

/* Whether that errno of a send or a receive says: later. */
bool tls_bio_is_full(int error);

#endif
