/* SHA-256 (FIPS 180-4) for what the host itself has to tell apart: state that passes to another
 * generation, the mark of a generation. OpenSSL's would load libcrypto for it (base/late.h) in
 * every host that upgrades: 10 ms while both generations serve, and 3 MiB from then on. It takes
 * about 10 ns a byte, OpenSSL 1.5; secrets, and what modules hash, go through util.hashes. */
#ifndef BASE_SHA256_H
#define BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { SHA256_BYTES = 32 };

/* The digest of `size` bytes at data (may be NULL where size is 0). */
void sha256(const void *data, size_t size, uint8_t digest[SHA256_BYTES]);

#endif
