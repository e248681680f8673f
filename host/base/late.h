/* Libraries that a process loads when it first needs them: OpenSSL, c-ares, hiredis, libedit.
 *
 * Measured: with all of them to link at its begin an empty program takes 12 ms from exec to its
 * end, without 4; 6 of the 8 are libcrypto's relocations. The keeper needs none of them, a reader
 * and a worker only where their config asks for TLS, hashes, names or Redis. The keeper's memory is
 * smaller by 1.2 MiB for it and a worker's by 3.
 *
 * C calls the functions as always: contrib/dev/late.sh writes a jump for each that is used. What is
 * called before its library is loaded ends the process with a line in the log, so what stands above
 * a library (the opener of a table host.*) loads it first, and says in Lua what is missing: a
 * service whose library is not there fails when it is started, not when it is used. It is the
 * system's library of the soname that the program was built with, as it would be at exec.
 *
 * Where late.sh knows no jump (not x86-64), with LATE= and in the fuzz targets the libraries are
 * linked, and late_load has nothing to do. */
#ifndef BASE_LATE_H
#define BASE_LATE_H

/* Loads a library once; name as for -l: "ssl", "crypto", "cares", "hiredis", "edit". NULL; or why
 * it cannot be used (the linker's words, with its file; valid until the next call). */
const char *late_load(const char *name);

#endif
