/* SPDX-License-Identifier: MIT */

/* Packets with descriptors: whole or not at all, and none left open that was not asked for. */

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/loopback.h"
#include "lib/teardown.h"
#include "sys/unix.h"

static int pair[2];
static int n_open;

static void open_pair(void)
{
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	n_open = loopback_n_fds();
}

static void close_pair(void)
{
	TEARDOWN_CHECK(loopback_n_fds() == n_open);
	close(pair[0]);
	close(pair[1]);
}

TestSuite(unix_socket, .init = open_pair, .fini = close_pair, .timeout = 60);

/* A packet with n copies of standard input's descriptor. */
static void send_with(const char *text, uint32_t n)
{
	int fds[VLY_UNIX_N_FDS];

	for (uint32_t i = 0; i < n; i++)
		fds[i] = STDERR_FILENO;
	cr_assert_eq(vly_unix_send(pair[0], text, strlen(text), fds, n), 0);
}

Test(unix_socket, a_packet_arrives_whole)
{
	int fds[VLY_UNIX_N_FDS];
	uint32_t n_fds = 99;
	char text[16];

	cr_assert_eq(vly_unix_check(pair[0]), 0);
	cr_assert_eq(vly_unix_recv(pair[1], text, sizeof text, fds, &n_fds), -EAGAIN);
	send_with("alone", 0);
	cr_assert_eq(vly_unix_recv(pair[1], text, sizeof text, fds, &n_fds), 5);
	cr_assert_eq(n_fds, 0);
	send_with("two", 2);
	cr_assert_eq(vly_unix_recv(pair[1], text, sizeof text, fds, &n_fds), 3);
	cr_assert_arr_eq(text, "two", 3);
	cr_assert_eq(n_fds, 2);
	for (uint32_t i = 0; i < n_fds; i++) {
		cr_assert(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
		close(fds[i]);
	}
}

Test(unix_socket, as_many_descriptors_as_it_says)
{
	int fds[VLY_UNIX_N_FDS];
	uint32_t n_fds;
	char byte;

	send_with("x", VLY_UNIX_N_FDS);
	cr_assert_eq(vly_unix_recv(pair[1], &byte, 1, fds, &n_fds), 1);
	cr_assert_eq(n_fds, VLY_UNIX_N_FDS);
	while (n_fds > 0)
		close(fds[--n_fds]);
}

Test(unix_socket, one_that_is_too_long_leaves_nothing_open)
{
	int fds[VLY_UNIX_N_FDS];
	uint32_t n_fds;
	char byte;

	send_with("long", 3);
	cr_assert_eq(vly_unix_recv(pair[1], &byte, 1, fds, &n_fds), -EMSGSIZE);
}

/* More than we take, as somebody else might send them. */
Test(unix_socket, too_many_descriptors_leave_nothing_open)
{
	enum { N = VLY_UNIX_N_FDS + 10 };
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int) * N)];
	} control = { .head = { .cmsg_len = CMSG_LEN(sizeof(int) * N),
				.cmsg_level = SOL_SOCKET,
				.cmsg_type = SCM_RIGHTS } };
	char text[] = "x";
	struct iovec iov = { text, 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.bytes,
			      .msg_controllen = sizeof control.bytes };
	int fds[VLY_UNIX_N_FDS];
	uint32_t n_fds;
	char byte;

	for (int i = 0; i < N; i++)
		((int *)(void *)CMSG_DATA(&control.head))[i] = STDERR_FILENO;
	cr_assert_eq(sendmsg(pair[0], &msg, 0), 1);
	cr_assert_eq(vly_unix_recv(pair[1], &byte, 1, fds, &n_fds), -EMSGSIZE);
}

Test(unix_socket, a_peer_that_is_gone_is_told_apart)
{
	int fds[VLY_UNIX_N_FDS];
	uint32_t n_fds;
	char byte;
	int gone[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, gone), 0);
	close(gone[1]);
	cr_assert_eq(vly_unix_send(gone[0], "x", 1, NULL, 0), -EPIPE);
	cr_assert_eq(vly_unix_recv(gone[0], &byte, 1, fds, &n_fds), 0);
	close(gone[0]);
}

Test(unix_socket, a_full_socket_says_so)
{
	char text[4096] = "";
	int r;

	do
		r = vly_unix_send(pair[0], text, sizeof text, NULL, 0);
	while (r == 0);
	cr_assert_eq(r, -EAGAIN);
}

Test(unix_socket, other_sockets_are_refused)
{
	int other[2];
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	cr_assert_eq(vly_unix_check(fd), -EPROTOTYPE);
	close(fd);
	cr_assert_eq(vly_unix_check(fd), -EBADF);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, other), 0);
	cr_assert_eq(vly_unix_check(other[0]), -EPROTOTYPE);
	close(other[0]);
	close(other[1]);
	cr_assert_eq(pipe(other), 0);
	cr_assert_eq(vly_unix_check(other[0]), -ENOTSOCK);
	close(other[0]);
	close(other[1]);
}
