/* SPDX-License-Identifier: MIT */

/*
 * The batch calls: one contract, tried on the native calls and on the portable loop, each with the
 * window and with the ppoll variant.
 */

#include <criterion/criterion.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>

#include <volley/mmsg.h>

#include "../cancel/victim.h"
#include "cancel/mmsg_loop.h"

#define MAX_VLEN 1025

static const struct impl {
	const char *name;
	int (*recv)(int fd, struct mmsghdr *msgs, unsigned int vlen, int flags);
	int (*send)(int fd, struct mmsghdr *msgs, unsigned int vlen, int flags);
} impls[] = {
	{ "native", volley_recvmmsg, volley_sendmmsg },
	{ "loop", vly_mmsg_loop_recv, vly_mmsg_loop_send },
};

static const struct impl *impl;
static int a, b; /* a receives, b sends to it */
static struct mmsghdr msgs[MAX_VLEN];
static struct iovec iovs[MAX_VLEN];
static char bytes[MAX_VLEN][16];
/* More than the kernel takes: a message with it is refused before anything is taken. */
static struct iovec too_many[IOV_MAX + 1];

static void prepare(unsigned int n, size_t len)
{
	memset(msgs, 0, sizeof msgs);
	for (unsigned int i = 0; i < n; i++) {
		iovs[i] = (struct iovec){ bytes[i], len };
		msgs[i].msg_hdr.msg_iov = &iovs[i];
		msgs[i].msg_hdr.msg_iovlen = 1;
		msgs[i].msg_len = 4711;
	}
}

static void spoil(unsigned int i)
{
	msgs[i].msg_hdr.msg_iov = too_many;
	msgs[i].msg_hdr.msg_iovlen = IOV_MAX + 1;
}

static void open_udp(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof addr;
	int size = 4 << 20;

	a = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	b = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	setsockopt(a, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
	cr_assert_eq(bind(a, (void *)&addr, sizeof addr), 0);
	cr_assert_eq(getsockname(a, (void *)&addr, &len), 0);
	cr_assert_eq(connect(b, (void *)&addr, len), 0);
}

/* A pair on which the sender's buffer fills up and nothing is dropped. */
static void open_pair(void)
{
	int fds[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds), 0);
	a = fds[0];
	b = fds[1];
}

static void send_numbers(int from, int n)
{
	for (int i = from; i < from + n; i++)
		cr_assert_eq(send(b, &i, sizeof i, 0), sizeof i);
}

static int number_at(unsigned int i)
{
	int number;

	memcpy(&number, bytes[i], sizeof number);
	return number;
}

static int unread(void)
{
	char junk[64];
	int n = 0;

	while (recv(a, junk, sizeof junk, MSG_DONTWAIT) >= 0)
		n++;
	return n;
}

/* A test that is run on one implementation after the other. */
#define BOTH(name)                                                           \
	static void name(void);                                              \
	Test(mmsg, name)                                                     \
	{                                                                    \
		cr_assert_eq(volley_cancel_attach(NULL), 0);                 \
		for (size_t i = 0; i < 2; i++) {                             \
			impl = &impls[i];                                    \
			name();                                              \
			close(a);                                            \
			close(b);                                            \
			volley_cancel_set_state(VOLLEY_CANCEL_ENABLE, NULL); \
			volley_cancel_clear();                               \
		}                                                            \
	}                                                                    \
	static void name(void)

/* n < vlen: what was there, in order, with lengths, and no header beyond n touched. */
BOTH(recv_takes_what_is_there)
{
	open_udp();
	send_numbers(0, 3);
	prepare(8, sizeof bytes[0]);
	cr_assert_eq(impl->recv(a, msgs, 8, 0), 3);
	for (unsigned int i = 0; i < 3; i++) {
		cr_assert_eq(number_at(i), (int)i);
		cr_assert_eq(msgs[i].msg_len, sizeof(int));
	}
	cr_assert_eq(msgs[3].msg_len, 4711);
	cr_assert_eq(impl->recv(a, msgs, 8, MSG_DONTWAIT), -EAGAIN);
}

BOTH(recv_stops_at_vlen)
{
	open_udp();
	send_numbers(0, 3);
	prepare(8, sizeof bytes[0]);
	cr_assert_eq(impl->recv(a, msgs, 1, 0), 1);
	cr_assert_eq(impl->recv(a, msgs, 2, 0), 2);
	cr_assert_eq(number_at(1), 2);
	cr_assert_eq(unread(), 0);
}

/* The caller's own MSG_WAITFORONE changes nothing, nor does a batch of more than 1,024. */
BOTH(recv_of_1025)
{
	open_udp();
	send_numbers(0, 1025);
	prepare(1025, sizeof bytes[0]);
	cr_assert_eq(impl->recv(a, msgs, 1025, MSG_WAITFORONE), 1025);
	cr_assert_eq(number_at(1024), 1024);
	send_numbers(0, 1025);
	cr_assert_eq(impl->recv(a, msgs, 1024, 0), 1024);
	cr_assert_eq(unread(), 1);
}

BOTH(vlen_0)
{
	open_udp();
	send_numbers(0, 1);
	cr_assert_eq(impl->recv(a, msgs, 0, 0), 0);
	cr_assert_eq(impl->send(b, msgs, 0, 0), 0);
	cr_assert_eq(volley_cancel_request(volley_cancel_self()), 0);
	cr_assert_eq(impl->recv(a, msgs, 0, 0), -ECANCELED);
	cr_assert_eq(impl->send(b, msgs, 0, 0), -ECANCELED);
	cr_assert_eq(unread(), 1);
}

BOTH(empty_datagrams_count)
{
	open_udp();
	prepare(4, 0);
	cr_assert_eq(impl->send(b, msgs, 4, 0), 4);
	prepare(8, sizeof bytes[0]);
	cr_assert_eq(impl->recv(a, msgs, 8, 0), 4);
	for (unsigned int i = 0; i < 4; i++)
		cr_assert_eq(msgs[i].msg_len, 0);
	cr_assert_eq(impl->recv(a, msgs, 8, MSG_DONTWAIT), -EAGAIN);
}

/* Taken together: the count now, the request with the next call. */
BOTH(pending_takes_nothing)
{
	open_udp();
	send_numbers(0, 3);
	prepare(8, sizeof bytes[0]);
	cr_assert_eq(volley_cancel_request(volley_cancel_self()), 0);
	cr_assert_eq(impl->recv(a, msgs, 8, 0), -ECANCELED);
	cr_assert_eq(impl->recv(a, msgs, 8, MSG_DONTWAIT), -ECANCELED);
	cr_assert_eq(impl->send(b, msgs, 8, 0), -ECANCELED);
	cr_assert_eq(volley_cancel_clear(), 0);
	cr_assert_eq(impl->recv(a, msgs, 8, 0), 3);
}

BOTH(disabled_recv_and_send)
{
	open_udp();
	prepare(8, sizeof bytes[0]);
	cr_assert_eq(volley_cancel_set_state(VOLLEY_CANCEL_DISABLE, NULL), 0);
	cr_assert_eq(volley_cancel_request(volley_cancel_self()), 0);
	cr_assert_eq(impl->send(b, msgs, 8, 0), 8);
	cr_assert_eq(impl->recv(a, msgs, 8, 0), 8);
}

BOTH(send_stops_at_1024)
{
	open_udp();
	prepare(1025, sizeof(int));
	cr_assert_eq(impl->send(b, msgs, 1024, 0), 1024);
	cr_assert_eq(unread(), 1024);
	cr_assert_eq(impl->send(b, msgs, 1025, 0), 1024);
	cr_assert_eq(unread(), 1024);
	cr_assert_eq(msgs[1024].msg_len, 4711);
}

/* A message that cannot be sent: the count before it, then its error, then the rest. */
BOTH(send_stops_at_a_bad_message)
{
	struct sockaddr_in nowhere = { .sin_family = AF_INET, /* port 0 */
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	open_udp();
	prepare(5, sizeof(int));
	msgs[3].msg_hdr.msg_name = &nowhere;
	msgs[3].msg_hdr.msg_namelen = sizeof nowhere;
	cr_assert_eq(impl->send(b, msgs, 5, 0), 3);
	cr_assert_eq(msgs[2].msg_len, sizeof(int));
	cr_assert_eq(impl->send(b, msgs + 3, 2, 0), -EINVAL);
	cr_assert_eq(impl->send(b, msgs + 4, 1, 0), 1);
	cr_assert_eq(unread(), 4);
}

BOTH(errors_of_the_first_message)
{
	prepare(2, sizeof(int));
	errno = 4711;
	cr_assert_eq(impl->recv(-1, msgs, 2, 0), -EBADF);
	cr_assert_eq(impl->send(-1, msgs, 2, 0), -EBADF);
	cr_assert_eq(errno, 4711);
	open_udp();
	close(a); /* the port is unreachable: the second send learns it */
	cr_assert_eq(impl->send(b, msgs, 1, 0), 1);
	cr_assert_eq(impl->recv(b, msgs, 2, 0), -ECONNREFUSED);
	cr_assert_eq(impl->recv(b, msgs, 2, MSG_DONTWAIT), -EAGAIN, "once");
}

BOTH(nonblocking_socket)
{
	open_pair();
	cr_assert_eq(fcntl(a, F_SETFL, O_NONBLOCK), 0);
	cr_assert_eq(fcntl(b, F_SETFL, O_NONBLOCK), 0);
	prepare(MAX_VLEN, sizeof(int));
	cr_assert_eq(impl->recv(a, msgs, 4, 0), -EAGAIN);
	while (impl->send(b, msgs, 1, 0) == 1)
		;
	cr_assert_eq(impl->send(b, msgs, 4, 0), -EAGAIN);
}

/*
 * An error after the first message: the count first, the error with the next call, then all is
 * well.
 */
BOTH(recv_error_after_the_first_message)
{
	open_udp();
	send_numbers(0, 4);
	prepare(4, sizeof(int));
	spoil(2);
	cr_assert_eq(impl->recv(a, msgs, 4, 0), 2);
	cr_assert_eq(volley_cancel_request(volley_cancel_self()), 0);
	cr_assert_eq(impl->recv(a, msgs, 1, 0), -ECANCELED, "which does not use up the error");
	cr_assert_eq(volley_cancel_clear(), 0);
	cr_assert_eq(impl->recv(a, msgs, 1, 0), -EMSGSIZE);
	cr_assert_eq(impl->recv(a, msgs, 1, 0), 1);
	cr_assert_eq(number_at(0), 2);
	cr_assert_eq(unread(), 1);
}

/* A kept error belongs to the socket, not to its number. */
BOTH(recv_error_is_not_of_the_next_socket)
{
	int old;

	open_udp();
	send_numbers(0, 2);
	prepare(4, sizeof(int));
	spoil(1);
	cr_assert_eq(impl->recv(a, msgs, 4, 0), 1);
	old = a;
	close(a);
	open_udp();
	cr_assert_eq(a, old);
	send_numbers(7, 1);
	cr_assert_eq(impl->recv(a, msgs, 1, 0), 1);
	cr_assert_eq(number_at(0), 7);
}

static long recv_4(void *arg)
{
	(void)arg;
	return impl->recv(a, msgs, 4, 0);
}

static long send_until_stopped(void *arg)
{
	long *n_sent = arg;
	long r;

	while ((r = impl->send(b, msgs, 100, 0)) > 0)
		*n_sent += r;
	return r;
}

BOTH(blocked_recv_is_cancelled_and_the_socket_is_well)
{
	struct victim victim;
	int error = 0;
	socklen_t len = sizeof error;

	open_udp();
	prepare(4, sizeof(int));
	victim_start(&victim, recv_4, NULL);
	wait_asleep(victim.tid);
	cr_assert_eq(volley_cancel_request(victim.handle), 0);
	victim_join(&victim);
	cr_assert_eq(victim.result, -ECANCELED);
	cr_assert_eq(victim.saved_errno, 4711);
	cr_assert_eq(getsockopt(a, SOL_SOCKET, SO_ERROR, &error, &len), 0);
	cr_assert_eq(error, 0, "errno %d is left on the socket", error);
	send_numbers(0, 1);
	cr_assert_eq(recv_4(NULL), 1);
}

/* The full buffer stops it in the middle or at the start of a batch: every message is accounted. */
BOTH(blocked_send_is_cancelled_with_exact_counts)
{
	struct victim victim;
	long n_sent = 0;

	open_pair();
	prepare(100, sizeof(int));
	victim_start(&victim, send_until_stopped, &n_sent);
	wait_asleep(victim.tid);
	cr_assert_eq(volley_cancel_request(victim.handle), 0);
	victim_join(&victim);
	cr_assert_eq(victim.result, -ECANCELED);
	cr_assert_eq(unread(), n_sent);
}

static void on_nothing(int signo)
{
	(void)signo;
}

/* An application's signal in the middle of a batch: the count so far, no error. */
BOTH(interrupted_send_reports_its_count)
{
	struct sigaction action = { .sa_handler = on_nothing };
	struct victim victim;
	long n_sent = 0;

	open_pair();
	prepare(100, sizeof(int));
	sigaction(SIGUSR1, &action, NULL);
	victim_start(&victim, send_until_stopped, &n_sent);
	wait_asleep(victim.tid);
	while (pthread_tryjoin_np(victim.thread, NULL) != 0)
		pthread_kill(victim.thread, SIGUSR1);
	volley_cancel_unref(victim.handle);
	cr_assert_eq(victim.result, -EINTR);
	cr_assert_eq(unread(), n_sent);
}

/* Part of a message on a stream is the last that is sent of a batch. */
BOTH(stream_sends_stay_in_order)
{
	static char big[1 << 20];
	struct iovec iov = { big, sizeof big };
	int fds[2];
	int size = 4096;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	cr_assert_eq(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
	prepare(2, 1);
	msgs[0].msg_hdr.msg_iov = &iov;
	cr_assert_eq(impl->send(fds[0], msgs, 2, MSG_DONTWAIT), 1);
	cr_assert_lt(msgs[0].msg_len, sizeof big);
	cr_assert_gt(msgs[0].msg_len, 0);
}
