/* Keys of session tickets: three of them, the newest makes tickets, all of them read. They belong
 * to the process, not to a context: a new certificate does not forget sessions. */
#ifndef NET_TLS_TICKETS_H
#define NET_TLS_TICKETS_H

#include <openssl/ssl.h>
#include <stddef.h>

enum { TLS_TICKET_KEY = 80, TLS_TICKET_KEYS = 3 }; /* bytes: name 16, AES 32, HMAC 32 */

/* Makes a context use them; keys are made at the first call. 0, or -1 without randomness. */
int tls_tickets_use(SSL_CTX *ctx);

/* Makes a new key, the oldest is forgotten. 0, or -1 without randomness. */
int tls_tickets_rotate(void);

/* All keys in a row, newest first, as another process reads them. Returns the number of bytes. */
size_t tls_tickets_get(unsigned char bytes[TLS_TICKET_KEY * TLS_TICKET_KEYS]);

/* Keys of another process: 0; -1 if that is no row of keys. */
int tls_tickets_set(const unsigned char *bytes, size_t n);

#endif
