/* SPDX-License-Identifier: MIT */

/* The error queue of sockets whose datagrams nobody wanted. */

#include <criterion/criterion.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/loopback.h"
#include "sys/errqueue.h"

TestSuite(errqueue, .timeout = 60);

/* Where nobody is. */
static struct volley_addr find_nobody(const char *text)
{
	struct volley_addr addr;

	close(loopback_open(text, &addr));
	return addr;
}

static void expect_report(const char *text)
{
	struct volley_addr nobody = find_nobody(text);
	struct vly_errqueue_entry entry;
	int fd = loopback_open(text, NULL);

	cr_assert_eq(vly_errqueue_pop(fd, &entry), 0, "it is off");
	cr_assert_eq(vly_errqueue_enable(fd, nobody.sa.sa_family), 0);
	cr_assert_eq(vly_errqueue_pop(fd, &entry), 0, "there is none yet");
	loopback_send(fd, &nobody, 7, 1);
	cr_assert_eq(vly_errqueue_pop(fd, &entry), 1);
	cr_assert_eq(entry.error, ECONNREFUSED);
	cr_assert(entry.icmp);
	cr_assert(volley_addr_is_equal(&entry.peer, &nobody), "whom it was for");
	cr_assert_eq(entry.peer.len, nobody.len);
	loopback_send(fd, &nobody, 7, 1); /* its pending error went with it: this one is sent */
	cr_assert_eq(vly_errqueue_pop(fd, &entry), 1);
	cr_assert_eq(vly_errqueue_pop(fd, &entry), 0);
	cr_assert_eq(vly_errqueue_disable(fd, nobody.sa.sa_family), 0);
	loopback_send(fd, &nobody, 7, 1);
	cr_assert_eq(vly_errqueue_pop(fd, &entry), 0, "it is off again");
	close(fd);
}

Test(errqueue, it_says_whom_a_datagram_was_for)
{
	expect_report("127.0.0.1:0");
}

Test(errqueue, ipv6_too)
{
	expect_report("[::1]:0");
}

/* Refused before it left: loopback takes 65,536 bytes with the headers. The call says so too. */
Test(errqueue, a_refusal_of_this_machine_is_no_report)
{
	static uint8_t big[65527];
	struct volley_addr nobody = find_nobody("[::1]:0");
	struct vly_errqueue_entry entry;
	int fd = loopback_open("[::1]:0", NULL);
	int discover = IPV6_PMTUDISC_DO;

	cr_assert_eq(setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &discover, sizeof discover),
		     0);
	cr_assert_eq(vly_errqueue_enable(fd, AF_INET6), 0);
	cr_assert_lt(sendto(fd, big, sizeof big, 0, &nobody.sa, nobody.len), 0);
	cr_assert_eq(errno, EMSGSIZE);
	cr_assert_eq(vly_errqueue_pop(fd, &entry), 1);
	cr_assert_eq(entry.error, EMSGSIZE);
	cr_assert_not(entry.icmp);
	close(fd);
}

Test(errqueue, what_is_no_socket_is_an_error)
{
	struct vly_errqueue_entry entry;
	int fd = dup(0);

	close(fd);
	cr_assert_eq(vly_errqueue_enable(fd, AF_INET), -EBADF);
	cr_assert_eq(vly_errqueue_pop(fd, &entry), -EBADF);
}

Test(errqueue, a_clear_leaves_nothing)
{
	struct volley_addr nobody = find_nobody("127.0.0.1:0");
	struct vly_errqueue_entry entry;
	int fd = loopback_open("127.0.0.1:0", NULL);

	cr_assert_eq(vly_errqueue_enable(fd, AF_INET), 0);
	for (int i = 0; i < 3; i++)
		sendto(fd, "x", 1, 0, &nobody.sa, nobody.len);
	vly_errqueue_clear(fd);
	cr_assert_eq(vly_errqueue_pop(fd, &entry), 0);
	close(fd);
}
