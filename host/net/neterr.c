#include "net/neterr.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

const char *net_strerror(int error)
{
	static char words[128];

	switch (error) {
	case EADDRINUSE: return "address already in use";
	case EISCONN: return "already connected";
	case EACCES: return "permission denied";
	case ECONNREFUSED: return "connection refused";
	case ECONNABORTED:
	case ECONNRESET:
	case EPIPE: return "closed";
	case ETIMEDOUT: return "timeout";
	case ENOBUFS: return "no space left in buffer";
	default: break;
	}
	snprintf(words, sizeof words, "%s", strerror(error));
	if (isupper((unsigned char)words[0]) && !isupper((unsigned char)words[1]))
		words[0] = (char)tolower((unsigned char)words[0]);
	return words;
}
