/* SPDX-License-Identifier: MIT */

/*
 * What is sent to many. 127.255.255.255 is the broadcast address of every machine's loopback.
 */

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdalign.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "lib/loopback.h"
#include "sys/cast.h"
#include "sys/cmsg.h"
#include "sys/socket.h"

static bool is_broadcast(const char *text)
{
	struct volley_addr addr = loopback_addr(text);
	int n_fds = loopback_n_fds();
	bool is = vly_cast_is_broadcast(&addr);

	cr_assert_eq(loopback_n_fds(), n_fds);
	return is;
}

Test(cast, broadcasts_are_known_by_the_routing_table)
{
	cr_assert(is_broadcast("255.255.255.255:0"));
	cr_assert(is_broadcast("127.255.255.255:53"));
	cr_assert(is_broadcast("[::ffff:127.255.255.255]:0"));
	cr_assert(!is_broadcast("127.255.255.254:0"));
	cr_assert(!is_broadcast("0.0.0.0:0"));
	cr_assert(!is_broadcast("224.0.0.1:0"));
	cr_assert(!is_broadcast("[::]:0"));
	cr_assert(!is_broadcast("[ff02::1]:0"));
}

static int get(int fd, int level, int name)
{
	int value = -1;

	cr_assert_eq(vly_socket_get_int(fd, level, name, &value), 0);
	return value;
}

Test(cast, hearing_of_groups_is_set_for_each_family)
{
	int fd = loopback_open("127.0.0.1:0", NULL);
	int fd6 = loopback_open("[::]:0", NULL);

	cr_assert_eq(vly_cast_set_all(fd, AF_INET, false, true), 0);
	cr_assert_eq(get(fd, IPPROTO_IP, IP_MULTICAST_ALL), 0);
	for (int in = 0; in < 2; in++) {
		for (int in6 = 0; in6 < 2; in6++) {
			cr_assert_eq(vly_cast_set_all(fd6, AF_INET6, in, in6), 0);
			cr_assert_eq(get(fd6, IPPROTO_IP, IP_MULTICAST_ALL), in);
			cr_assert_eq(get(fd6, IPPROTO_IPV6, IPV6_MULTICAST_ALL), in6);
		}
	}
	close(fd);
	close(fd6);
	cr_assert_eq(vly_cast_set_all(-1, AF_INET, true, true), -9, "EBADF");
}

Test(cast, what_is_sent_to_groups_reaches_this_machine_or_not)
{
	int fd = loopback_open("[::]:0", NULL);

	for (int on = 0; on < 2; on++) {
		cr_assert_eq(vly_cast_set_loop(fd, AF_INET6, on), 0);
		cr_assert_eq(get(fd, IPPROTO_IP, IP_MULTICAST_LOOP), on);
		cr_assert_eq(get(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP), on);
	}
	close(fd);
}

/* What is learned from one control message with a peer of this family. */
static struct vly_cmsg_info parse(sa_family_t family, int level, int type, const void *data,
				  size_t n)
{
	alignas(struct cmsghdr) uint8_t control[64] = { 0 };
	struct cmsghdr head = { .cmsg_len = CMSG_LEN(n), .cmsg_level = level, .cmsg_type = type };
	struct volley_addr name = { .sa.sa_family = family };
	struct msghdr msg = {
		.msg_name = &name,
		.msg_namelen = sizeof name.in6,
		.msg_control = control,
		.msg_controllen = CMSG_SPACE(n),
	};
	struct vly_cmsg_info info;

	memcpy(control, &head, sizeof head);
	memcpy(control + CMSG_LEN(0), data, n);
	memset(&info, 0xee, sizeof info);
	vly_cmsg_parse(&msg, &info);
	return info;
}

/* What the kernel says of a datagram to `to` that came to an address `local`, and what it is. */
static void expect_cast(sa_family_t family, const char *to, const char *local, uint32_t cast)
{
	struct in_pktinfo in = { .ipi_ifindex = 7 };
	struct vly_cmsg_info info;
	struct in_addr seen;

	inet_pton(AF_INET, to, &in.ipi_addr);
	inet_pton(AF_INET, local, &in.ipi_spec_dst);
	info = parse(family, IPPROTO_IP, IP_PKTINFO, &in, sizeof in);
	cr_assert_eq(info.cast, cast, "%s at %s", to, local);
	if (cast == 0)
		return;
	cr_assert_eq(info.destination.sa.sa_family, family);
	if (family == AF_INET)
		seen = info.destination.in.sin_addr;
	else
		memcpy(&seen, &info.destination.in6.sin6_addr.s6_addr[12], sizeof seen);
	cr_assert_eq(seen.s_addr, in.ipi_addr.s_addr);
}

Test(cast, to_how_many_it_was_sent_follows_from_two_addresses)
{
	static const sa_family_t families[] = { AF_INET, AF_INET6 };

	for (int i = 0; i < 2; i++) {
		expect_cast(families[i], "10.0.0.1", "10.0.0.1", 0);
		expect_cast(families[i], "10.0.0.255", "10.0.0.1", VLY_CMSG_BROADCAST);
		expect_cast(families[i], "255.255.255.255", "10.0.0.1", VLY_CMSG_BROADCAST);
		/* On a link without an address of ours. */
		expect_cast(families[i], "255.255.255.255", "0.0.0.0", VLY_CMSG_BROADCAST);
		expect_cast(families[i], "224.0.0.251", "0.0.0.0", VLY_CMSG_MULTICAST);
		expect_cast(families[i], "239.1.2.3", "10.0.0.1", VLY_CMSG_MULTICAST);
		/* A kernel that names no address to reply from has not said "broadcast". */
		expect_cast(families[i], "10.0.0.1", "0.0.0.0", 0);
	}
}

Test(cast, only_groups_of_a_link_have_its_number)
{
	static const struct {
		const char *group;
		unsigned int ifindex;
	} cases[] = { { "ff02::1", 7 }, { "ff01::1", 7 }, { "ff05::1:3", 0 }, { "ff0e::1", 0 } };

	for (size_t i = 0; i < VLY_ARRAY_SIZE(cases); i++) {
		struct in6_pktinfo in6 = { .ipi6_ifindex = 7 };
		struct vly_cmsg_info info;

		inet_pton(AF_INET6, cases[i].group, &in6.ipi6_addr);
		info = parse(AF_INET6, IPPROTO_IPV6, IPV6_PKTINFO, &in6, sizeof in6);
		cr_assert_eq(info.cast, VLY_CMSG_MULTICAST);
		cr_assert_eq(memcmp(&info.destination.in6.sin6_addr, &in6.ipi6_addr, 16), 0);
		cr_assert_eq(info.destination.in6.sin6_scope_id, cases[i].ifindex);
	}
}
