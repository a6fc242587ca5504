/* SPDX-License-Identifier: MIT */

/*
 * Reports about earlier replies: counted and told once, never somebody else's failure. The reports
 * are the kernel's, on a socket of the server's; what is sent by it meanwhile is the script's.
 */

#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <unistd.h>

#include "lib/fake_io.h"
#include "lib/fault.h"
#include "lib/loopback.h"
#include "lib/peer.h"
#include "path/icmp.h"
#include "path/listener.h"

#define ADDRESS "127.0.0.1:0"

static struct volley_addr nobody;
static uint32_t n_told;

static void on_error(struct volley_worker *worker, const struct volley_addr *peer, int error,
		     void *arg)
{
	(void)worker;
	cr_assert_eq(arg, &n_told);
	cr_assert_eq(error, ECONNREFUSED);
	cr_assert(volley_addr_is_equal(peer, &nobody));
	n_told++;
}

static struct vly_sock *open_server(struct fake_server *fake, uint32_t flags,
				    volley_error_fn on_error_fn)
{
	close(loopback_open(ADDRESS, &nobody));
	fake_server_open(fake, NULL, ADDRESS,
			 VOLLEY_LISTEN(.on_batch = peer_echo, .on_error = on_error_fn,
				       .flags = flags, .arg = &n_told));
	return vly_socks_get(&fake->worker->socks, 0);
}

static uint64_t count_reports(struct fake_server *fake)
{
	fake_server_run(fake);
	vly_icmp_drain(fake->worker, vly_socks_get(&fake->worker->socks, 0));
	vly_ledger_publish(&fake->worker->books, 0, 0, 0);
	return fake_server_stats(fake).tx_reported;
}

Test(icmp, each_report_is_counted_and_told_once)
{
	struct fake_server fake;
	struct vly_sock *sock = open_server(&fake, VOLLEY_LISTEN_REPORT_ERRORS, on_error);

	cr_assert_eq(count_reports(&fake), 0);
	for (uint32_t i = 1; i <= 3; i++) {
		loopback_send(sock->fd, &nobody, 7, 1);
		cr_assert_eq(count_reports(&fake), i);
		cr_assert_eq(count_reports(&fake), i);
		cr_assert_eq(n_told, i);
	}
	fake_server_close(&fake);
}

Test(icmp, they_are_counted_without_a_callback)
{
	struct fake_server fake;
	struct vly_sock *sock = open_server(&fake, VOLLEY_LISTEN_REPORT_ERRORS, NULL);

	loopback_send(sock->fd, &nobody, 7, 1);
	cr_assert_eq(count_reports(&fake), 1);
	fake_server_close(&fake);
}

Test(icmp, who_did_not_ask_hears_nothing)
{
	struct fake_server fake;
	struct vly_sock *sock = open_server(&fake, 0, NULL);

	loopback_send(sock->fd, &nobody, 7, 1);
	cr_assert_eq(count_reports(&fake), 0);
	fake_server_close(&fake);
}

/* Somebody else who holds it has switched them on, and they would wake the worker for ever. */
Test(icmp, an_adopted_socket_is_emptied_for_nobody)
{
	struct fake_server fake;
	struct vly_sock *sock = open_server(&fake, 0, NULL);
	struct pollfd fd = { .fd = sock->fd };
	int one = 1;

	sock->listener->adopted = true;
	cr_assert_eq(setsockopt(sock->fd, IPPROTO_IP, IP_RECVERR, &one, sizeof one), 0);
	loopback_send(sock->fd, &nobody, 7, 1);
	cr_assert_eq(poll(&fd, 1, 1000), 1);
	vly_icmp_drain(fake.worker, sock);
	cr_assert_eq(poll(&fd, 1, 0), 1, "a volley does not look: it costs a call");
	vly_icmp_take_idle(fake.worker, sock);
	cr_assert_eq(poll(&fd, 1, 0), 0);
	cr_assert_eq(count_reports(&fake), 0);
	fake_server_close(&fake);
}

/* A send by hand, to a script that fails it `n_failures` times. */
static int send_one(struct fake_server *fake, struct vly_sock *sock, int n_failures, int error)
{
	struct vly_tx tx = {
		.data = (const uint8_t *)"x", .len = 1, .peer = fake_peer(5), .n_segments = 1
	};
	uint16_t head = 0;

	for (int i = 0; i < n_failures; i++)
		fake_io_send_result(fake->io, -error);
	return vly_icmp_send(fake->worker, sock, &tx, &head, 1);
}

Test(icmp, an_error_that_was_pending_is_not_the_next_ones)
{
	struct fake_server fake;
	struct vly_sock *sock = open_server(&fake, VOLLEY_LISTEN_REPORT_ERRORS, on_error);

	loopback_send(sock->fd, &nobody, 7, 1);
	cr_assert_eq(send_one(&fake, sock, 1, ECONNREFUSED), 1, "it was tried again");
	cr_assert_eq(n_told, 0, "a callback may be what sends");
	vly_icmp_process(fake.worker);
	cr_assert_eq(n_told, 1);
	cr_assert_eq(fake_io_n_send_calls(fake.io), 2);
	cr_assert_eq(send_one(&fake, sock, 63, ECONNREFUSED), 1, "a refusal is never its own");
	cr_assert_eq(fake_io_n_send_calls(fake.io), 2 + 64);
	fake_server_close(&fake);
}

Test(icmp, who_never_gets_through_waits_as_for_room)
{
	struct fake_server fake;
	struct vly_sock *sock = open_server(&fake, VOLLEY_LISTEN_REPORT_ERRORS, on_error);

	cr_assert_eq(send_one(&fake, sock, 1000, ECONNREFUSED), -EAGAIN);
	cr_assert_eq(fake_io_n_send_calls(fake.io), 1 + 64);
	fake_server_close(&fake);
}

Test(icmp, an_error_that_nobody_reported_is_its_own)
{
	struct fake_server fake;
	struct vly_sock *sock = open_server(&fake, VOLLEY_LISTEN_REPORT_ERRORS, on_error);

	loopback_send(sock->fd, &nobody, 7, 1); /* a report of something else */
	cr_assert_eq(send_one(&fake, sock, 10, ENETUNREACH), -ENETUNREACH);
	cr_assert_eq(fake_io_n_send_calls(fake.io), 2);
	vly_icmp_process(fake.worker);
	cr_assert_eq(n_told, 1);
	fake_server_close(&fake);
}

/* So many reports wait, and no error is pending. */
static void await_reports(const struct vly_sock *sock, uint32_t n)
{
	socklen_t n_bytes = sizeof(int);
	int error;

	for (uint32_t i = 0; i < n; i++) {
		loopback_send(sock->fd, &nobody, 7, 1);
		cr_assert_eq(getsockopt(sock->fd, SOL_SOCKET, SO_ERROR, &error, &n_bytes), 0);
		cr_assert_eq(error, ECONNREFUSED);
	}
}

/* What could not be read may be the reason, and is looked for once more. */
Test(icmp, an_error_is_nobodys_own_while_reports_are_unread)
{
	struct fake_server fake;
	struct vly_sock *sock = open_server(&fake, VOLLEY_LISTEN_REPORT_ERRORS, on_error);

	await_reports(sock, 1); /* of something else */
	fault_arm(FAULT_SYSCALL, 2, ENOMEM);
	cr_assert_eq(send_one(&fake, sock, 2, EHOSTUNREACH), 1);
	cr_assert_eq(fault_disarm(), 1);
	cr_assert_eq(fake_io_n_send_calls(fake.io), 3);
	await_reports(sock, 256); /* as many as one look takes */
	cr_assert_eq(send_one(&fake, sock, 2, EHOSTUNREACH), 1);
	cr_assert_eq(send_one(&fake, sock, 2, EHOSTUNREACH), -EHOSTUNREACH);
	fake_server_close(&fake);
}

Test(icmp, an_error_is_its_own_where_reports_cannot_be_read)
{
	struct fake_server fake;
	struct vly_sock *sock = open_server(&fake, VOLLEY_LISTEN_REPORT_ERRORS, on_error);

	fault_arm_from(FAULT_SYSCALL, 1, EOPNOTSUPP);
	cr_assert_eq(send_one(&fake, sock, 1000, EPERM), -EPERM);
	fault_disarm();
	cr_assert_eq(fake_io_n_send_calls(fake.io), 1 + 64);
	fake_server_close(&fake);
}

Test(icmp, who_did_not_ask_has_only_errors_of_its_own)
{
	struct fake_server fake;
	struct vly_sock *sock = open_server(&fake, 0, NULL);

	cr_assert_eq(send_one(&fake, sock, 1, EPERM), -EPERM);
	cr_assert_eq(fake_io_n_send_calls(fake.io), 1);
	fake_server_close(&fake);
}

/* Somebody else's option on a socket that is his too. */
Test(icmp, who_did_not_ask_is_not_refused_either)
{
	struct fake_server fake;
	struct vly_sock *sock = open_server(&fake, 0, NULL);

	cr_assert_eq(send_one(&fake, sock, 2, ECONNREFUSED), 1);
	cr_assert_eq(fake_io_n_send_calls(fake.io), 3);
	fake_server_close(&fake);
}
