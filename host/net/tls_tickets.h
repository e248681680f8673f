/* Keys of session tickets: three of them, the newest makes tickets, all of them read. They belong
 * to the process, not to a context: a new certificate does not forget sessions. A worker has those
 * of its keeper; a process without a keeper makes its own. */
#ifndef NET_TLS_TICKETS_H
#define NET_TLS_TICKETS_H

#include <openssl/ssl.h>

/* Bytes: a key is name 16, AES 32, HMAC 32. */
enum { TLS_TICKET_KEYS = 3, TLS_TICKETS = TLS_TICKET_KEYS * 80 };

/* Makes a context use them; keys are made if none were set. 0, or -1 without randomness. */
int tls_tickets_use(SSL_CTX *ctx);

/* Makes a new key, the oldest is forgotten. 0, or -1 without randomness. */
int tls_tickets_rotate(void);

/* These keys, newest first, from now on. */
void tls_tickets_set(const unsigned char bytes[TLS_TICKETS]);

#endif
