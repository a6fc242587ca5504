/* SPDX-License-Identifier: MIT */

#include "lib/loopback.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void die(const char *what)
{
	fprintf(stderr, "loopback: %s: %s\n", what, strerror(errno));
	abort();
}

struct volley_addr loopback_addr(const char *text)
{
	struct volley_addr addr = { .len = 0 };
	const char *colon = strrchr(text, ':');
	char host[64] = "";
	int port;

	if (colon == NULL || (size_t)(colon - text) >= sizeof host)
		die(text);
	memcpy(host, text, (size_t)(colon - text));
	port = atoi(colon + 1);
	if (host[0] == '[') {
		host[strlen(host) - 1] = '\0';
		addr.len = sizeof addr.in6;
		addr.in6.sin6_family = AF_INET6;
		addr.in6.sin6_port = htons((uint16_t)port);
		if (inet_pton(AF_INET6, host + 1, &addr.in6.sin6_addr) != 1)
			die(text);
	} else {
		addr.len = sizeof addr.in;
		addr.in.sin_family = AF_INET;
		addr.in.sin_port = htons((uint16_t)port);
		if (inet_pton(AF_INET, host, &addr.in.sin_addr) != 1)
			die(text);
	}
	return addr;
}

int loopback_open(const char *text, struct volley_addr *ret_addr)
{
	struct volley_addr addr = loopback_addr(text);
	socklen_t n = addr.len;
	int fd = socket(addr.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, &addr.sa, addr.len) < 0 || getsockname(fd, &addr.sa, &n) < 0)
		die(text);
	if (ret_addr != NULL)
		*ret_addr = addr;
	return fd;
}

void loopback_send(int fd, const struct volley_addr *to, uint8_t tag, size_t n)
{
	uint8_t payload[65536] = { tag };

	if (sendto(fd, payload, n, 0, &to->sa, to->len) != (ssize_t)n)
		die("sendto");
}

int loopback_wait(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	return poll(&pollfd, 1, 1000) == 1;
}

int loopback_recv(int fd, uint8_t *buf, size_t n, struct volley_addr *ret_from)
{
	struct volley_addr from = { .len = 0 };
	socklen_t n_from = sizeof from.in6;
	ssize_t r;

	loopback_wait(fd);
	r = recvfrom(fd, buf, n, MSG_DONTWAIT | MSG_TRUNC, &from.sa, &n_from);
	if (r < 0)
		return -errno;
	from.len = n_from;
	if (ret_from != NULL)
		*ret_from = from;
	return (int)r;
}

int loopback_n_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	if (dir == NULL)
		die("/proc/self/fd");
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}
