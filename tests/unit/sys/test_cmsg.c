/* SPDX-License-Identifier: MIT */

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/compiler.h"
#include "lib/fault.h"
#include "lib/loopback.h"
#include "sys/cmsg.h"
#include "sys/raw.h"

#define ALL (VLY_CMSG_LOCAL | VLY_CMSG_TTL | VLY_CMSG_TOS | VLY_CMSG_TIMESTAMP | VLY_CMSG_SEGMENT)

/* What a receive gave, in exactly the room that was said to be enough. */
struct received {
	struct vly_cmsg_info info;
	struct volley_addr from;
	int flags;
	int len;
};

static struct received recv_with(int fd, int family, uint32_t want)
{
	alignas(8) uint8_t control[256];
	uint8_t payload[2048];
	struct received got = { .len = 0 };
	struct iovec iov = { .iov_base = payload, .iov_len = sizeof payload };
	struct msghdr msg = {
		.msg_name = &got.from.sa,
		.msg_namelen = sizeof got.from.in6,
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = vly_cmsg_get_room(family, want),
	};

	cr_assert(loopback_wait(fd));
	got.len = vly_raw_recvmsg(fd, &msg);
	got.flags = msg.msg_flags;
	got.from.len = msg.msg_namelen;
	vly_cmsg_parse(&msg, &got.info);
	return got;
}

/* A wildcard socket that reports `want`, and where to reach it at `host`. */
static int open_any(int family, uint32_t want, const char *host, struct volley_addr *ret_to)
{
	struct volley_addr addr;
	int fd = loopback_open(family == AF_INET ? "0.0.0.0:0" : "[::]:0", &addr);

	cr_assert_eq(vly_cmsg_enable(fd, family, want), 0);
	*ret_to = loopback_addr(host);
	if (ret_to->sa.sa_family == AF_INET)
		ret_to->in.sin_port = htons(volley_addr_get_port(&addr));
	else
		ret_to->in6.sin6_port = htons(volley_addr_get_port(&addr));
	return fd;
}

static int send_source(int fd, const struct received *request)
{
	alignas(8) uint8_t control[VLY_CMSG_SOURCE_BYTES];
	uint8_t payload[3] = "ok";
	struct iovec iov = { .iov_base = payload, .iov_len = 2 };
	struct volley_addr to = request->from;
	struct msghdr msg = { .msg_name = &to.sa, .msg_namelen = to.len, .msg_iov = &iov };

	msg.msg_iovlen = 1;
	msg.msg_controllen = vly_cmsg_put_source(control, sizeof control, &request->info.local,
						 request->info.reply_ifindex);
	msg.msg_control = msg.msg_controllen > 0 ? control : NULL;
	return vly_raw_sendmsg(fd, &msg);
}

/* Ask at `host`, from `client_host`, on a wildcard socket of `family`; who replies? */
static void expect_reply_from(int family, const char *client_host, const char *host)
{
	struct volley_addr to, from;
	int server = open_any(family, VLY_CMSG_LOCAL, host, &to);
	int client = loopback_open(client_host, NULL);
	struct received request;
	uint8_t buf[8];

	loopback_send(client, &to, 1, 1);
	request = recv_with(server, family, VLY_CMSG_LOCAL);
	cr_assert_eq(request.len, 1);
	cr_assert_eq(request.flags, 0);
	cr_assert_eq(request.info.found, VLY_CMSG_LOCAL);
	cr_assert_eq(request.info.ifindex, if_nametoindex("lo"));
	cr_assert_eq(request.info.local.sa.sa_family, family);
	cr_assert_eq(send_source(server, &request), 2);
	cr_assert_eq(loopback_recv(client, buf, sizeof buf, &from), 2);
	cr_assert_eq(from.len, to.len);
	cr_assert_eq(memcmp(&from, &to, from.len), 0, "replied from elsewhere than %s", host);
	close(server);
	close(client);
}

Test(cmsg, replies_leave_from_where_the_request_came_to)
{
	expect_reply_from(AF_INET, "127.0.0.1:0", "127.0.0.1:0");
	expect_reply_from(AF_INET, "127.0.0.1:0", "127.0.0.5:0");
	expect_reply_from(AF_INET6, "[::1]:0", "[::1]:0");
}

Test(cmsg, replies_to_mapped_peers_too)
{
	expect_reply_from(AF_INET6, "127.0.0.1:0", "127.0.0.1:0");
	expect_reply_from(AF_INET6, "127.0.0.1:0", "127.0.0.5:0");
}

Test(cmsg, a_mapped_peer_has_a_mapped_local_address)
{
	struct volley_addr to, want = loopback_addr("[::ffff:127.0.0.5]:0");
	int server = open_any(AF_INET6, VLY_CMSG_LOCAL, "127.0.0.5:0", &to);
	int client = loopback_open("127.0.0.1:0", NULL);
	struct received request;

	loopback_send(client, &to, 1, 1);
	request = recv_with(server, AF_INET6, VLY_CMSG_LOCAL);
	cr_assert_eq(memcmp(&request.info.local, &want, sizeof want), 0);
	close(server);
	close(client);
}

/* Everything at once, in exactly the room that vly_cmsg_get_room() says: nothing is cut off. */
static void expect_all(int family, const char *client_host, const char *host)
{
	bool v4 = host[0] != '[';
	struct volley_addr to;
	int server = open_any(family, ALL, host, &to);
	int client = loopback_open(client_host, NULL);
	int ttl = 42, tos = 0x29, segment = 100;
	struct timespec before, after;
	struct received got;

	cr_assert_eq(setsockopt(client, v4 ? IPPROTO_IP : IPPROTO_IPV6,
				v4 ? IP_TTL : IPV6_UNICAST_HOPS, &ttl, sizeof ttl),
		     0);
	cr_assert_eq(setsockopt(client, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TOS : IPV6_TCLASS,
				&tos, sizeof tos),
		     0);
	cr_assert_eq(setsockopt(client, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof segment), 0);
	clock_gettime(CLOCK_REALTIME, &before);
	loopback_send(client, &to, 1, 350);
	got = recv_with(server, family, ALL);
	clock_gettime(CLOCK_REALTIME, &after);

	cr_assert_eq(got.len, 350);
	cr_assert_eq(got.flags & MSG_CTRUNC, 0);
	cr_assert_eq(got.info.found, ALL);
	cr_assert_eq(got.info.ttl, ttl);
	cr_assert_eq(got.info.tos, tos);
	cr_assert_eq(got.info.segment_bytes, (uint32_t)segment);
	cr_assert_geq(got.info.timestamp_ns, before.tv_sec * 1000000000 + before.tv_nsec);
	cr_assert_leq(got.info.timestamp_ns, after.tv_sec * 1000000000 + after.tv_nsec);
	close(server);
	close(client);
}

Test(cmsg, everything_at_once)
{
	expect_all(AF_INET, "127.0.0.1:0", "127.0.0.1:0");
	expect_all(AF_INET6, "[::1]:0", "[::1]:0");
	expect_all(AF_INET6, "127.0.0.1:0", "127.0.0.1:0");
}

Test(cmsg, nothing_asked_for_is_nothing_found)
{
	struct volley_addr to;
	int server = open_any(AF_INET, 0, "127.0.0.1:0", &to);
	struct received got;

	cr_assert_eq(vly_cmsg_get_room(AF_INET, 0), 0);
	cr_assert_eq(vly_cmsg_get_room(AF_INET6, 0), 0);
	loopback_send(server, &to, 1, 1);
	got = recv_with(server, AF_INET, 0);
	cr_assert_eq(got.flags, 0);
	cr_assert_eq(got.info.found, 0);
	cr_assert_eq(got.info.local.len, 0);
	close(server);
}

Test(cmsg, room_is_a_multiple_of_8)
{
	for (uint32_t want = 0; want <= ALL; want++) {
		cr_assert_eq(vly_cmsg_get_room(AF_INET, want) % 8, 0);
		cr_assert_geq(vly_cmsg_get_room(AF_INET6, want), vly_cmsg_get_room(AF_INET, want));
	}
}

Test(cmsg, enable_fails_with_errno)
{
	int fd = loopback_open("127.0.0.1:0", NULL);

	for (unsigned int nth = 1; nth <= 5; nth++) {
		fault_arm(FAULT_SETSOCKOPT, nth, ENOPROTOOPT);
		cr_assert_eq(vly_cmsg_enable(fd, AF_INET, ALL), -ENOPROTOOPT);
	}
	fault_arm(FAULT_SETSOCKOPT, 6, ENOPROTOOPT);
	cr_assert_eq(vly_cmsg_enable(fd, AF_INET, ALL), 0, "there are five");
	close(fd);
}

/* Made-up control messages from here on. */

struct made {
	alignas(8) uint8_t bytes[256];
	size_t n;
};

static void add(struct made *made, int level, int type, const void *data, size_t n_data)
{
	struct cmsghdr head = {
		.cmsg_len = CMSG_LEN(n_data),
		.cmsg_level = level,
		.cmsg_type = type,
	};

	memcpy(made->bytes + made->n, &head, sizeof head);
	memcpy(made->bytes + made->n + CMSG_LEN(0), data, n_data);
	made->n += CMSG_SPACE(n_data);
}

static struct vly_cmsg_info parse(struct made *made, sa_family_t peer)
{
	struct volley_addr name = { .len = 0 };
	struct msghdr msg = {
		.msg_control = made->bytes,
		.msg_controllen = made->n,
		.msg_name = peer != 0 ? &name : NULL,
		.msg_namelen = sizeof name.in6,
	};
	struct vly_cmsg_info info;

	name.sa.sa_family = peer;
	memset(&info, 0xee, sizeof info);
	vly_cmsg_parse(&msg, &info);
	return info;
}

Test(cmsg, multicast_is_replied_to_from_where_the_kernel_likes)
{
	struct in6_pktinfo info6 = { .ipi6_ifindex = 7 };
	struct made made = { .n = 0 };
	struct vly_cmsg_info info;
	uint8_t control[VLY_CMSG_SOURCE_BYTES];

	inet_pton(AF_INET6, "ff02::fb", &info6.ipi6_addr);
	add(&made, IPPROTO_IPV6, IPV6_PKTINFO, &info6, sizeof info6);
	info = parse(&made, AF_INET6);
	cr_assert_eq(info.found, VLY_CMSG_LOCAL);
	cr_assert_eq(info.ifindex, 7);
	cr_assert_eq(info.local.len, 0);
	cr_assert_eq(vly_cmsg_put_source(control, sizeof control, &info.local, 7), 0);
	cr_assert_eq(info.cast, VLY_CMSG_MULTICAST);
	cr_assert_eq(info.destination.in6.sin6_scope_id, 7, "a group of the link");
}

Test(cmsg, link_local_keeps_its_interface_and_nothing_else_does)
{
	static const struct {
		const char *local;
		unsigned int ifindex;
	} cases[] = { { "[fe80::1]:0", 7 }, { "[2001:db8::1]:0", 0 }, { "[::ffff:1.2.3.4]:0", 0 } };

	for (size_t i = 0; i < VLY_ARRAY_SIZE(cases); i++) {
		struct volley_addr local = loopback_addr(cases[i].local);
		struct in6_pktinfo in6 = { .ipi6_addr = local.in6.sin6_addr, .ipi6_ifindex = 7 };
		struct made made = { .n = 0 };
		alignas(8) uint8_t control[VLY_CMSG_SOURCE_BYTES];
		struct cmsghdr head;
		struct vly_cmsg_info info;

		add(&made, IPPROTO_IPV6, IPV6_PKTINFO, &in6, sizeof in6);
		info = parse(&made, AF_INET6);
		cr_assert_eq(info.ifindex, 7);
		cr_assert_eq(info.local.in6.sin6_scope_id, cases[i].ifindex);
		cr_assert_eq(info.reply_ifindex, cases[i].ifindex);
		cr_assert_eq(vly_cmsg_put_source(control, sizeof control, &info.local,
						 info.reply_ifindex),
			     40);
		memcpy(&head, control, sizeof head);
		memcpy(&in6, control + CMSG_LEN(0), sizeof in6);
		cr_assert_eq(head.cmsg_len, CMSG_LEN(sizeof in6));
		cr_assert_eq(head.cmsg_level, IPPROTO_IPV6);
		cr_assert_eq(head.cmsg_type, IPV6_PKTINFO);
		cr_assert_eq(memcmp(&in6.ipi6_addr, &local.in6.sin6_addr, 16), 0);
		cr_assert_eq(in6.ipi6_ifindex, cases[i].ifindex);
	}
}

Test(cmsg, ipv4_source_is_spec_dst_and_the_interface_that_is_asked_for)
{
	struct volley_addr local = loopback_addr("127.0.0.5:0");
	alignas(8) uint8_t control[VLY_CMSG_SOURCE_BYTES];
	struct in_pktinfo info;

	memset(control, 0xee, sizeof control);
	cr_assert_eq(vly_cmsg_put_source(control, sizeof control, &local, 7), 32);
	memcpy(&info, control + CMSG_LEN(0), sizeof info);
	cr_assert_eq(info.ipi_ifindex, 7);
	cr_assert_eq(info.ipi_spec_dst.s_addr, local.in.sin_addr.s_addr);
	cr_assert_eq(info.ipi_addr.s_addr, 0);
}

/* The kernel gives IPV6_PKTINFO first; the parser does not rely on it. */
Test(cmsg, for_mapped_peers_ip_pktinfo_wins_in_either_order)
{
	struct volley_addr broadcast = loopback_addr("[::ffff:10.255.255.255]:0");
	struct volley_addr unicast = loopback_addr("[::ffff:10.0.0.1]:0");
	struct in6_pktinfo in6 = { .ipi6_addr = broadcast.in6.sin6_addr, .ipi6_ifindex = 3 };
	struct in_pktinfo in = { .ipi_ifindex = 3 };

	inet_pton(AF_INET, "10.0.0.1", &in.ipi_spec_dst);
	inet_pton(AF_INET, "10.255.255.255", &in.ipi_addr);
	for (int swap = 0; swap < 2; swap++) {
		struct made made = { .n = 0 };
		struct vly_cmsg_info info;

		if (swap)
			add(&made, IPPROTO_IP, IP_PKTINFO, &in, sizeof in);
		add(&made, IPPROTO_IPV6, IPV6_PKTINFO, &in6, sizeof in6);
		if (!swap)
			add(&made, IPPROTO_IP, IP_PKTINFO, &in, sizeof in);
		info = parse(&made, AF_INET6);
		cr_assert_eq(memcmp(&info.local, &unicast, sizeof unicast), 0);
	}
}

Test(cmsg, without_a_peer_ip_pktinfo_is_plain_ipv4)
{
	struct in_pktinfo in = { .ipi_spec_dst.s_addr = htonl(INADDR_LOOPBACK) };
	struct made made = { .n = 0 };

	add(&made, IPPROTO_IP, IP_PKTINFO, &in, sizeof in);
	cr_assert_eq(parse(&made, 0).local.len, sizeof(struct sockaddr_in));
	cr_assert_eq(parse(&made, AF_INET).local.len, sizeof(struct sockaddr_in));
}

Test(cmsg, unknown_messages_are_stepped_over)
{
	struct made made = { .n = 0 };
	struct vly_cmsg_info info;
	int ttl = 9;

	add(&made, SOL_SOCKET, SO_RXQ_OVFL, &ttl, sizeof ttl);
	add(&made, IPPROTO_IP, IP_RECVERR, &ttl, sizeof ttl);
	add(&made, IPPROTO_IPV6, IPV6_RTHDR, &ttl, 3);
	add(&made, IPPROTO_UDP, UDP_ENCAP, &ttl, sizeof ttl);
	add(&made, 12345, 1, &ttl, 0);
	add(&made, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl);
	info = parse(&made, AF_INET);
	cr_assert_eq(info.found, VLY_CMSG_TTL | VLY_CMSG_OTHER);
	cr_assert_eq(info.ttl, 9);
}

Test(cmsg, payloads_that_are_too_short_are_not_read)
{
	static const struct {
		int level;
		int type;
		size_t n_short;
	} cases[] = {
		{ IPPROTO_IP, IP_PKTINFO, sizeof(struct in_pktinfo) - 1 },
		{ IPPROTO_IPV6, IPV6_PKTINFO, sizeof(struct in6_pktinfo) - 1 },
		{ IPPROTO_IP, IP_TTL, 3 },
		{ IPPROTO_IPV6, IPV6_TCLASS, 0 },
		{ SOL_SOCKET, SCM_TIMESTAMPNS, sizeof(struct timespec) - 1 },
		{ IPPROTO_UDP, UDP_GRO, 2 },
	};
	uint8_t junk[64];

	memset(junk, 0xee, sizeof junk);
	for (size_t i = 0; i < VLY_ARRAY_SIZE(cases); i++) {
		struct made made = { .n = 0 };

		add(&made, cases[i].level, cases[i].type, junk, cases[i].n_short);
		cr_assert_eq(parse(&made, AF_INET6).found, 0, "case %zu", i);
	}
}

/*
 * Every length in the header against every length of the buffer, placed against an unmapped page by
 * the allocator under AddressSanitizer and valgrind: the parser must neither hang nor read on.
 */
Test(cmsg, lengths_that_lie_are_not_believed)
{
	static const size_t lies[] = { 0,  1,  15,   16,           17,           20,      24,
				       28, 29, 4096, SIZE_MAX / 2, SIZE_MAX - 7, SIZE_MAX };

	for (size_t n = 0; n <= 64; n++)
		for (size_t i = 0; i < VLY_ARRAY_SIZE(lies); i++) {
			uint8_t *bytes = calloc(1, n > 0 ? n : 1);
			struct cmsghdr head = {
				.cmsg_len = lies[i],
				.cmsg_level = IPPROTO_IP,
				.cmsg_type = IP_PKTINFO,
			};
			struct msghdr msg = { .msg_control = bytes, .msg_controllen = n };
			struct vly_cmsg_info info;

			memcpy(bytes, &head, n < sizeof head ? n : sizeof head);
			vly_cmsg_parse(&msg, &info);
			cr_assert_eq(!!info.found, lies[i] >= 28 && lies[i] <= n, "len %zu of %zu",
				     lies[i], n);
			free(bytes);
		}
}

Test(cmsg, what_was_cut_off_matters_where_it_was_asked_for)
{
	const uint32_t all = VLY_CMSG_LOCAL | VLY_CMSG_SEGMENT | VLY_CMSG_TIMESTAMP;
	struct vly_cmsg_info info = { .found = all };

	cr_assert(vly_cmsg_is_complete(&info, all));
	info.found = VLY_CMSG_LOCAL | VLY_CMSG_TIMESTAMP;
	cr_assert(vly_cmsg_is_complete(&info, all), "a segment size would stand before it");
	info.found = VLY_CMSG_TIMESTAMP;
	cr_assert_not(vly_cmsg_is_complete(&info, VLY_CMSG_SEGMENT), "and behind this");
	cr_assert_not(vly_cmsg_is_complete(&info, VLY_CMSG_TTL));
	info.found = VLY_CMSG_OTHER;
	cr_assert(vly_cmsg_is_complete(&info, VLY_CMSG_SEGMENT));
	cr_assert_not(vly_cmsg_is_complete(&info, VLY_CMSG_LOCAL | VLY_CMSG_SEGMENT));
}

Test(cmsg, what_we_do_not_know_of_ip_is_noticed)
{
	alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct cmsghdr head = { .cmsg_len = CMSG_LEN(sizeof(int)),
				.cmsg_level = IPPROTO_IP,
				.cmsg_type = IP_CHECKSUM };
	struct msghdr msg = { .msg_control = control, .msg_controllen = sizeof control };
	struct vly_cmsg_info info;

	memcpy(control, &head, sizeof head);
	vly_cmsg_parse(&msg, &info);
	cr_assert_eq(info.found, VLY_CMSG_OTHER);
}

/* Where it was sent to with the port; diverting takes a firewall, but the words are the same. */
Test(cmsg, the_destination_before_a_diversion_has_its_port, .timeout = 60)
{
	static const struct {
		int family;
		const char *host;
	} cases[] = { { AF_INET, "127.0.0.9:1" },
		      { AF_INET6, "[::1]:1" },
		      { AF_INET6, "[::ffff:127.0.0.9]:1" } };

	for (size_t i = 0; i < VLY_ARRAY_SIZE(cases); i++) {
		int family = cases[i].family;
		struct volley_addr to;
		int fd = open_any(family, VLY_CMSG_ORIGIN, cases[i].host, &to);
		int client = loopback_open(family == AF_INET ? "127.0.0.1:0" : "[::]:0", NULL);
		struct received got;

		loopback_send(client, &to, 1, 8);
		got = recv_with(fd, family, VLY_CMSG_ORIGIN);
		cr_assert_eq(got.flags & MSG_CTRUNC, 0);
		cr_assert_eq(got.info.found, VLY_CMSG_ORIGIN);
		cr_assert(volley_addr_is_equal(&got.info.destination, &to));
		cr_assert_eq(vly_cmsg_get_enabled(fd, family), VLY_CMSG_ORIGIN);
		cr_assert_eq(vly_cmsg_disable(fd, family, VLY_CMSG_ORIGIN), 0);
		cr_assert_eq(vly_cmsg_get_enabled(fd, family), 0);
		close(client);
		close(fd);
	}
}
