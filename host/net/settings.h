/* network_settings (Prosody 13's epoll keys) and the limits, one copy a loop. */
#ifndef NET_SETTINGS_H
#define NET_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

struct net_settings {
	double read_timeout;         /* seconds of silence before onreadtimeout; 0 = never */
	double send_timeout;         /* seconds without progress while output waits */
	double connect_timeout;      /* seconds */
	double handshake_timeout;    /* seconds for a whole TLS handshake */
	double accept_pause;         /* seconds without accepting after descriptors ran out */
	double min_wait;             /* seconds; shorter pauses for a rate limit are not taken */
	double keepalive_idle;       /* seconds; 0 = the system's */
	size_t read_size;            /* most bytes of one onincoming */
	size_t line_limit;           /* most bytes of a line in mode "*l" */
	size_t max_send_buffer_size; /* most bytes that wait for a slow peer */
	size_t max_send_chunk;       /* most bytes of one send */
	int tcp_backlog;
	int defer_accept; /* seconds; 0 = off */
	int fastopen;     /* queue length; 0 = off */
	bool nagle;       /* false: TCP_NODELAY */
	bool keepalive;
	bool fatal_errors; /* an error in a callback closes its connection */
};

extern const struct net_settings net_settings_default;

#endif
