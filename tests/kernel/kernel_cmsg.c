/* SPDX-License-Identifier: MIT */

/*
 * The order of control messages: what belongs to the socket, a segment size, what belongs to IP, of
 * that what we ask for before anything that a sender may make long; and once one does not fit,
 * nothing follows. vly_cmsg_is_complete() of src/sys/cmsg.c relies on it, and VLY_CMSG_SPARE_BYTES
 * on the bytes of the first kind.
 */

#include <arpa/inet.h>
#include <linux/net_tstamp.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdalign.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/check.h"
#include "lib/loopback.h"

#ifndef IPV6_2292HOPOPTS
#define IPV6_2292PKTINFO  2
#define IPV6_2292HOPOPTS  3
#define IPV6_2292HOPLIMIT 8
#endif
enum { RCVMARK = 75, RCVPRIORITY = 82 };

/* VLY_CMSG_SPARE_BYTES, which is for twice this. */
enum { MAX_SOCKET_BYTES = 224 };

static void set(int fd, int level, int name, int value)
{
	setsockopt(fd, level, name, &value, sizeof value); /* where the kernel knows it */
}

static void set_all(int fd)
{
	static const int names4[] = {
		IP_PKTINFO, IP_RECVTTL,         IP_RECVTOS,  IP_RECVOPTS,
		IP_RETOPTS, IP_RECVORIGDSTADDR, IP_CHECKSUM, IP_RECVFRAGSIZE
	};
	static const int names6[] = { IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS,
				      IPV6_RECVHOPOPTS, IPV6_RECVDSTOPTS,  IPV6_2292PKTINFO,
				      IPV6_2292HOPOPTS, IPV6_2292HOPLIMIT, IPV6_RECVORIGDSTADDR };

	set(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1);
	set(fd, SOL_SOCKET, SO_TIMESTAMPING,
	    SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE |
		    SOF_TIMESTAMPING_OPT_PKTINFO);
	set(fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
	set(fd, SOL_SOCKET, SO_WIFI_STATUS, 1);
	set(fd, SOL_SOCKET, RCVMARK, 1);
	set(fd, SOL_SOCKET, RCVPRIORITY, 1);
	set(fd, IPPROTO_UDP, UDP_GRO, 1);
	for (size_t i = 0; i < sizeof names4 / sizeof names4[0]; i++)
		set(fd, IPPROTO_IP, names4[i], 1);
	for (size_t i = 0; i < sizeof names6 / sizeof names6[0]; i++)
		set(fd, IPPROTO_IPV6, names6[i], 1);
}

/* Three datagrams in one message, with a hop-by-hop option where there can be one. */
static void send_some(const struct volley_addr *to)
{
	static const char options[8] = { 0, 0, 1, 4 }; /* padding, RFC 8200 */
	int fd = loopback_open(to->sa.sa_family == AF_INET ? "127.0.0.1:0" : "[::1]:0", NULL);
	char data[3 * 100] = { 0 };

	set(fd, IPPROTO_UDP, UDP_SEGMENT, 100);
	if (to->sa.sa_family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_HOPOPTS, options, sizeof options) < 0)
		SKIP("no hop-by-hop options without CAP_NET_RAW");
	REQUIRE(sendto(fd, data, sizeof data, 0, &to->sa, to->len) == (ssize_t)sizeof data);
	close(fd);
}

/* Where a message may stand: 1 the socket's, 2 the segment size, 3 what we ask IP for, 4 others. */
static int get_rank(const struct cmsghdr *c)
{
	static const int ours4[] = { IP_PKTINFO, IP_TTL, IP_TOS };
	static const int ours6[] = { IPV6_PKTINFO, IPV6_HOPLIMIT, IPV6_TCLASS };
	const int *ours = c->cmsg_level == IPPROTO_IP ? ours4 : ours6;

	if (c->cmsg_level == SOL_SOCKET)
		return 1;
	if (c->cmsg_level == IPPROTO_UDP)
		return 2;
	for (int i = 0; i < 3; i++)
		if (c->cmsg_type == ours[i])
			return 3;
	return 4;
}

/* Returns the last rank. A datagram of IPv4 on an IPv6 socket has IPv6's destination as well. */
static int check_order(int fd, size_t n_control, size_t *ret_socket_bytes)
{
	alignas(8) char control[2048];
	char data[512];
	struct iovec iov = { .iov_base = data, .iov_len = sizeof data };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = n_control };
	size_t socket_bytes = 0;
	int last = 0;

	REQUIRE(loopback_wait(fd));
	REQUIRE(recvmsg(fd, &msg, MSG_DONTWAIT) > 0);
	CHECK_EQ((msg.msg_flags & MSG_CTRUNC) != 0, n_control < sizeof control);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c != NULL; c = CMSG_NXTHDR(&msg, c)) {
		int rank = get_rank(c);

		CHECK(rank >= last);
		last = rank;
		if (rank == 1)
			socket_bytes += CMSG_SPACE(c->cmsg_len - CMSG_LEN(0));
	}
	*ret_socket_bytes = socket_bytes;
	return last;
}

static void check_family(const char *address)
{
	struct volley_addr addr;
	int fd = loopback_open(address, &addr);
	size_t socket_bytes;
	size_t unused;

	set_all(fd);
	send_some(&addr);
	CHECK_EQ(check_order(fd, 2048, &socket_bytes), 4);
	printf("%s: %zu bytes of the socket's\n", address, socket_bytes);
	CHECK(socket_bytes > 0 && socket_bytes <= MAX_SOCKET_BYTES);
	for (size_t room = 8; room < socket_bytes + 64; room += 24) {
		send_some(&addr);
		check_order(fd, room, &unused); /* what is cut off is the end */
	}
	close(fd);
}

int main(void)
{
	check_family("127.0.0.1:0");
	check_family("[::1]:0");
	return check_done();
}
