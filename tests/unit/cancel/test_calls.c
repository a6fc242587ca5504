/* SPDX-License-Identifier: MIT */

/*
 * What the calls give apart from cancellation: the kernel's own results and errors. Built for the
 * window and for the ppoll variant.
 */

#include <criterion/criterion.h>

#include "points.h"

Test(calls, nonblocking_descriptors_get_eagain)
{
	char c = 0;

	cr_assert_eq(volley_cancel_attach(NULL), 0);
	open_udp();
	cr_assert_eq(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	cr_assert_eq(call_recvmsg(NULL), -EAGAIN);
	cr_assert_eq(call_recvmmsg(NULL), -EAGAIN);
	cr_assert_eq(call_read(NULL), -EAGAIN);
	open_full_dgram();
	cr_assert_eq(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	cr_assert_eq(call_sendmsg(NULL), -EAGAIN);
	cr_assert_eq(call_sendmmsg(NULL), -EAGAIN);
	cr_assert_eq(call_write(NULL), -EAGAIN);
	open_listener();
	cr_assert_eq(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	cr_assert_eq(call_accept4(NULL), -EAGAIN);
	open_pipe();
	cr_assert_eq(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	cr_assert_eq(volley_read(fds[0], &c, 1), -EAGAIN);
	cr_assert_eq(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
	cr_assert_eq(volley_write(fds[1], "y", 1), 1);
	cr_assert_eq(volley_read(fds[0], &c, 1), 1);
	cr_assert_eq(c, 'y');
}

Test(calls, errors_are_passed_on)
{
	struct timespec none = { 0 };
	struct epoll_event event;
	char c;

	cr_assert_eq(volley_cancel_attach(NULL), 0);
	open_pipe();
	cr_assert_eq(volley_cancel_request(volley_cancel_self()), 0);
	cr_assert_eq(call_read(NULL), -ECANCELED);
	cr_assert_eq(volley_read(fds[0], &c, 0), -ECANCELED);
	cr_assert_eq(call_accept4(NULL), -ECANCELED, "before any other error");
	cr_assert_eq(volley_cancel_clear(), 0);
	fds[0] = -1;
	errno = 4711;
	cr_assert_eq(call_recvmsg(NULL), -EBADF);
	cr_assert_eq(call_recvmmsg(NULL), -EBADF);
	cr_assert_eq(call_sendmsg(NULL), -EBADF);
	cr_assert_eq(call_sendmmsg(NULL), -EBADF);
	cr_assert_eq(call_read(NULL), -EBADF);
	cr_assert_eq(call_write(NULL), -EBADF);
	cr_assert_eq(call_accept4(NULL), -EBADF);
	cr_assert_eq(volley_epoll_wait(-1, &event, 1, -1), -EBADF);
	cr_assert_eq(volley_ppoll(NULL, 0, &none, NULL), 0);
	cr_assert_eq(errno, 4711);
	open_pipe();
	cr_assert_eq(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	cr_assert_eq(volley_read(fds[0], &c, 0), 0);
	cr_assert_eq(close(fds[1]), 0);
	cr_assert_eq(volley_read(fds[0], &c, 1), 0);
}

/* With a timeout on the socket the kernel never restarts: its EINTR must become ECANCELED. */
Test(calls, socket_timeout)
{
	struct timeval long_time = { .tv_sec = 1000 };
	struct timeval short_time = { .tv_usec = 1000 };
	struct victim victim;

	open_udp();
	cr_assert_eq(setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &long_time, sizeof long_time), 0);
	victim_start(&victim, call_recvmmsg, NULL);
	wait_asleep(victim.tid);
	cr_assert_eq(volley_cancel_request(victim.handle), 0);
	victim_join(&victim);
	check_cancelled("recvmmsg", &victim);

	cr_assert_eq(setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &short_time, sizeof short_time),
		     0);
	cr_assert_eq(volley_cancel_attach(NULL), 0);
	cr_assert_eq(call_recvmmsg(NULL), -EAGAIN);
	cr_assert_eq(call_recvmsg(NULL), -EAGAIN);
	open_full_dgram();
	cr_assert_eq(setsockopt(fds[0], SOL_SOCKET, SO_SNDTIMEO, &short_time, sizeof short_time),
		     0);
	cr_assert_eq(call_sendmsg(NULL), -EAGAIN);
}

/* read() of no bytes leaves the datagram; write() of none sends one. */
Test(calls, empty_read_and_write)
{
	char c = 0;

	cr_assert_eq(volley_cancel_attach(NULL), 0);
	open_udp();
	send_one();
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	cr_assert_eq(volley_read(fds[0], &c, 0), 0);
	cr_assert_eq(volley_read(fds[0], &c, 1), 1);
	cr_assert_eq(volley_write(fds[1], &c, 0), 0);
	cr_assert_eq(volley_read(fds[0], &c, 1), 0);
	cr_assert_eq(volley_read(fds[0], &c, 1), -EAGAIN);
}
