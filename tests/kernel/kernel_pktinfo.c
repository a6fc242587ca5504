/* SPDX-License-Identifier: MIT */

/*
 * Where a datagram was sent to, and from where a reply may leave: what src/sys/cmsg.c relies on.
 * ipi_spec_dst is an address of ours even where the destination (ipi_addr) is a broadcast; a mapped
 * peer on an AF_INET6 socket comes with both kinds of information, the IPv6 one first; and its
 * reply may name its source as a mapped IPV6_PKTINFO.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdalign.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/check.h"
#include "lib/loopback.h"

struct got {
	struct volley_addr from;
	struct in_pktinfo in;
	struct in6_pktinfo in6;
	int in_at; /* order of arrival from 1, 0: none */
	int in6_at;
};

static struct got recv_info(int fd)
{
	alignas(8) char control[256];
	char byte;
	struct got got = { .in_at = 0 };
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_name = &got.from.sa,
		.msg_namelen = sizeof got.from.in6,
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control,
	};
	int at = 0;

	REQUIRE(loopback_wait(fd));
	REQUIRE(recvmsg(fd, &msg, MSG_DONTWAIT) >= 0);
	got.from.len = msg.msg_namelen;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c != NULL; c = CMSG_NXTHDR(&msg, c)) {
		at++;
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			memcpy(&got.in, CMSG_DATA(c), sizeof got.in);
			got.in_at = at;
		}
		if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			memcpy(&got.in6, CMSG_DATA(c), sizeof got.in6);
			got.in6_at = at;
		}
	}
	return got;
}

/* 0 or -errno of sending one byte with one control message. */
static int send_info(int fd, struct volley_addr *to, int level, int type, const void *info,
		     size_t n_info)
{
	alignas(struct cmsghdr) char control[64] = { 0 };
	char byte = 0;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_name = &to->sa,
		.msg_namelen = to->len,
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = CMSG_SPACE(n_info),
	};
	struct cmsghdr head = {
		.cmsg_len = CMSG_LEN(n_info),
		.cmsg_level = level,
		.cmsg_type = type,
	};

	memcpy(control, &head, sizeof head);
	memcpy(control + CMSG_LEN(0), info, n_info);
	return sendmsg(fd, &msg, 0) == 1 ? 0 : -errno;
}

static void set(int fd, int level, int name)
{
	int one = 1;

	REQUIRE(setsockopt(fd, level, name, &one, sizeof one) == 0);
}

static struct volley_addr on_port(const char *host, const struct volley_addr *of)
{
	struct volley_addr addr = loopback_addr(host);

	if (addr.sa.sa_family == AF_INET)
		addr.in.sin_port = of->sa.sa_family == AF_INET ? of->in.sin_port
							       : of->in6.sin6_port;
	else
		addr.in6.sin6_port = of->in6.sin6_port;
	return addr;
}

static void spec_dst_is_the_destination_of_a_unicast(void)
{
	struct volley_addr addr, to, from;
	int fd = loopback_open("0.0.0.0:0", &addr);
	int client = loopback_open("127.0.0.1:0", NULL);
	struct in_pktinfo reply = { 0 };
	struct got got;
	uint8_t byte;

	set(fd, IPPROTO_IP, IP_PKTINFO);
	to = on_port("127.0.0.5:0", &addr);
	loopback_send(client, &to, 0, 1);
	got = recv_info(fd);
	CHECK_EQ(got.in.ipi_spec_dst.s_addr, to.in.sin_addr.s_addr);
	CHECK_EQ(got.in.ipi_addr.s_addr, to.in.sin_addr.s_addr);
	/* The reply leaves from there; with no source named, it would leave from 127.0.0.1. */
	reply.ipi_spec_dst = got.in.ipi_spec_dst;
	CHECK_EQ(send_info(fd, &got.from, IPPROTO_IP, IP_PKTINFO, &reply, sizeof reply), 0);
	CHECK_EQ(loopback_recv(client, &byte, 1, &from), 1);
	CHECK_EQ(from.in.sin_addr.s_addr, to.in.sin_addr.s_addr);
	loopback_send(fd, &got.from, 0, 1);
	CHECK_EQ(loopback_recv(client, &byte, 1, &from), 1);
	CHECK_EQ(from.in.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	close(fd);
	close(client);
}

/* 127.255.255.255 is the broadcast address of 127.0.0.1/8. */
static void spec_dst_is_an_address_of_ours_for_a_broadcast(void)
{
	struct volley_addr addr, to;
	int fd = loopback_open("0.0.0.0:0", &addr);
	int client = loopback_open("127.0.0.1:0", NULL);
	struct in_pktinfo wrong = { 0 }, right = { 0 };
	struct got got;

	set(fd, IPPROTO_IP, IP_PKTINFO);
	set(client, SOL_SOCKET, SO_BROADCAST);
	to = on_port("127.255.255.255:0", &addr);
	loopback_send(client, &to, 0, 1);
	got = recv_info(fd);
	CHECK_EQ(got.in.ipi_addr.s_addr, to.in.sin_addr.s_addr);
	CHECK_EQ(got.in.ipi_spec_dst.s_addr, htonl(INADDR_LOOPBACK));
	wrong.ipi_spec_dst = got.in.ipi_addr;
	CHECK(send_info(fd, &got.from, IPPROTO_IP, IP_PKTINFO, &wrong, sizeof wrong) < 0);
	right.ipi_spec_dst = got.in.ipi_spec_dst;
	CHECK_EQ(send_info(fd, &got.from, IPPROTO_IP, IP_PKTINFO, &right, sizeof right), 0);
	close(fd);
	close(client);
}

static int64_t mapped_part(const struct in6_addr *addr)
{
	uint32_t part;

	if (!IN6_IS_ADDR_V4MAPPED(addr))
		return -1;
	memcpy(&part, addr->s6_addr + 12, sizeof part);
	return part;
}

static void a_mapped_peer_brings_both(void)
{
	struct volley_addr addr, to, from;
	int fd = loopback_open("[::]:0", &addr);
	int client = loopback_open("127.0.0.1:0", NULL);
	struct in6_pktinfo reply = { 0 };
	struct got got;
	uint8_t byte;

	set(client, SOL_SOCKET, SO_BROADCAST);
	set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO);
	to = on_port("127.0.0.5:0", &addr);
	loopback_send(client, &to, 0, 1);
	got = recv_info(fd);
	CHECK_EQ(got.from.sa.sa_family, AF_INET6);
	CHECK_EQ(got.in_at, 0);
	CHECK_EQ(mapped_part(&got.in6.ipi6_addr), to.in.sin_addr.s_addr);

	set(fd, IPPROTO_IP, IP_PKTINFO);
	to = on_port("127.255.255.255:0", &addr);
	loopback_send(client, &to, 0, 1);
	got = recv_info(fd);
	CHECK(got.in6_at > 0 && got.in_at > got.in6_at);
	/* Only the IPv4 one knows where to reply from. */
	CHECK_EQ(mapped_part(&got.in6.ipi6_addr), to.in.sin_addr.s_addr);
	CHECK_EQ(got.in.ipi_spec_dst.s_addr, htonl(INADDR_LOOPBACK));

	reply.ipi6_addr = loopback_addr("[::ffff:127.0.0.5]:0").in6.sin6_addr;
	CHECK_EQ(send_info(fd, &got.from, IPPROTO_IPV6, IPV6_PKTINFO, &reply, sizeof reply), 0);
	CHECK_EQ(loopback_recv(client, &byte, 1, &from), 1);
	CHECK_EQ(from.in.sin_addr.s_addr, loopback_addr("127.0.0.5:0").in.sin_addr.s_addr);
	close(fd);
	close(client);
}

int main(void)
{
	spec_dst_is_the_destination_of_a_unicast();
	spec_dst_is_an_address_of_ours_for_a_broadcast();
	a_mapped_peer_brings_both();
	return check_done();
}
