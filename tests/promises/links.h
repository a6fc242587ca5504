/* SPDX-License-Identifier: MIT */
#ifndef TESTS_PROMISES_LINKS_H
#define TESTS_PROMISES_LINKS_H

/*
 * Two machines with two links between them. The server is the near one, where the program is; its
 * clients' sockets are opened at the far one and stay there, so one process has both ends.
 *
 *	near             far
 *	a0 10.1.0.1/24 - b0 10.1.0.9/24     fd01::1/64  fd01::9/64     fe80::1  fe80::9
 *	   10.1.0.2
 *	a1 10.2.0.1/24 - b1 10.2.0.9/24     fd02::1/64  fd02::9/64     fe80::1  fe80::9
 */

#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include <volley/addr.h>

#include "promise.h"

static int links_near_fd, links_far_fd;

static inline void links_enter(int namespace_fd)
{
	REQUIRE(setns(namespace_fd, CLONE_NEWNET) == 0);
}

/* In which of the two the calling thread is. */
static inline void links_enter_near(void)
{
	links_enter(links_near_fd);
}

static inline void links_enter_far(void)
{
	links_enter(links_far_fd);
}

static inline void links_set_up(const char *device, int link, const char *host)
{
	REQUIRE(namespace_run("ip link set %s addrgenmode none up", device));
	REQUIRE(namespace_run("ip addr add 10.%d.0.%s/24 broadcast + dev %s", link, host, device));
	REQUIRE(namespace_run("ip addr add fd0%d::%s/64 dev %s nodad", link, host, device));
	REQUIRE(namespace_run("ip addr add fe80::%s/64 dev %s nodad", host, device));
}

/* Behind promise_begin(): the namespace that it entered becomes the near one. */
static inline void links_begin(void)
{
	links_near_fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	REQUIRE(links_near_fd >= 0 && unshare(CLONE_NEWNET) == 0);
	links_far_fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	REQUIRE(links_far_fd >= 0 && namespace_run("ip link set lo up"));
	links_enter_near();
	for (int i = 0; i < 2; i++)
		REQUIRE(namespace_run("ip link add a%d type veth peer name b%d "
				      "netns /proc/%d/fd/%d",
				      i, i, (int)getpid(), links_far_fd));
	links_set_up("a0", 1, "1");
	links_set_up("a1", 2, "1");
	REQUIRE(namespace_run("ip addr add 10.1.0.2/24 dev a0"));
	links_enter_far();
	links_set_up("b0", 1, "9");
	links_set_up("b1", 2, "9");
	links_enter_near();
}

static inline struct volley_addr links_addr(const char *text)
{
	struct volley_addr addr = { .len = 0 };

	REQUIRE(volley_addr_parse(text, &addr) == 0);
	return addr;
}

/* A socket at the far end, bound, that may broadcast; it sends groups by the device. */
static inline int links_open_far(const char *address, const char *device)
{
	struct volley_addr addr;
	int on = 1, index, fd;

	links_enter_far();
	addr = links_addr(address);
	index = (int)if_nametoindex(device);
	fd = socket(addr.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	REQUIRE(fd >= 0 && bind(fd, &addr.sa, addr.len) == 0);
	REQUIRE(setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof on) == 0);
	if (addr.sa.sa_family == AF_INET) {
		struct ip_mreqn by = { .imr_ifindex = index };

		REQUIRE(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &by, sizeof by) == 0);
	} else {
		REQUIRE(setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &index, sizeof index) == 0);
	}
	links_enter_near();
	return fd;
}

/* From a socket at the far end, where scopes are looked up, to host and port. */
static inline void links_send(int fd, const char *host, uint16_t port, const void *data, size_t len)
{
	char text[VOLLEY_ADDR_TEXT_BYTES];
	struct volley_addr to;

	snprintf(text, sizeof text, "%s:%u", host, port);
	links_enter_far();
	to = links_addr(text);
	REQUIRE(sendto(fd, data, len, 0, &to.sa, to.len) == (ssize_t)len);
	links_enter_near();
}

/* The next datagram: its length, or -1 when none comes in so many milliseconds. */
static inline ssize_t links_recv(int fd, void *data, size_t len, struct volley_addr *ret_from,
				 int timeout_ms)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	struct volley_addr from = { .len = sizeof from.in6 };
	ssize_t r;

	if (poll(&ready, 1, timeout_ms) != 1)
		return -1;
	r = recvfrom(fd, data, len, MSG_DONTWAIT, &from.sa, &from.len);
	if (ret_from != NULL)
		*ret_from = from;
	return r;
}

#endif
