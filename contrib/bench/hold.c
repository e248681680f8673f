/* hold - open -c connections to 127.0.0.1:-p, optionally exchange one message
 * (-m bytes) on each, print "ready", hold until stdin closes or -t secs.
 * -T: TLS handshake on each.                                                  */
#include "lg.h"

#include <openssl/ssl.h>
#include <poll.h>
int main(int argc, char **argv)
{
	int port = 0, n = 10000, m = 0, tls = 0;
	const char *http = NULL; /* -H PATH: one keep-alive GET on each */
	double t = 60;
	for (int o; (o = getopt(argc, argv, "p:c:m:t:TH:")) != -1;)
		switch (o) {
		case 'p': port = atoi(optarg); break;
		case 'c': n = atoi(optarg); break;
		case 'm': m = atoi(optarg); break;
		case 't': t = atof(optarg); break;
		case 'T': tls = 1; break;
		case 'H': http = optarg; break;
		default: return 2;
		}
	if (t > 300)
		t = 300;
	SSL_CTX *ctx = tls ? SSL_CTX_new(TLS_client_method()) : NULL;
	struct sockaddr_in a = lo_addr(port);
	char buf[65536];
	memset(buf, 'x', sizeof buf);
	if (m)
		buf[m - 1] = '\n';
	uint64_t t0 = now_ns();
	for (int i = 0; i < n; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		if (fd < 0)
			die("socket");
		struct timeval tv = {10, 0};
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
		if (connect(fd, (struct sockaddr *)&a, sizeof a) < 0)
			die("connect");
		SSL *ssl = NULL;
		if (tls) {
			ssl = SSL_new(ctx);
			SSL_set_fd(ssl, fd);
			if (SSL_connect(ssl) != 1)
				die("SSL_connect");
		}
		if (http) {
			char q[256];
			int k = snprintf(
				q, sizeof q, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", http),
			    g = 0;
			if (send(fd, q, k, 0) != k)
				die("send");
			while (g < 6 || memcmp(buf + g - 6, "world\n", 6)) {
				k = recv(fd, buf + g, sizeof buf - g, 0);
				if (k <= 0)
					die("http recv");
				g += k;
				if (strstr(buf, "\r\n0\r\n\r\n") && strstr(buf, "world"))
					break;
			}
			memset(buf, 0, 1024);
		} else if (m) {
			ssize_t k = tls ? SSL_write(ssl, buf, m) : send(fd, buf, m, 0);
			for (ssize_t g = 0; g < m; g += k) {
				k = tls ? SSL_read(ssl, buf, sizeof buf)
					: recv(fd, buf, sizeof buf, 0);
				if (k <= 0)
					die("recv");
			}
			buf[m - 1] = '\n';
		}
	}
	printf("ready %.3f\n", (now_ns() - t0) / 1e9);
	fflush(stdout);
	struct pollfd p = {0, POLLIN, 0};
	poll(&p, 1, (int)(t * 1000));
	return 0;
}
