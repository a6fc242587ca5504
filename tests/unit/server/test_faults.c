/* SPDX-License-Identifier: MIT */

/*
 * Every allocation and system call of a server's way from new to start fails once. After each
 * failure nothing is left behind (descriptors are counted here, memory by AddressSanitizer), and
 * the same call works when it is made again.
 */

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/fault.h"
#include "lib/listeners.h"
#include "lib/loopback.h"
#include "lib/peer.h"
#include "server/state.h"

TestSuite(faults, .timeout = 120);

static void expect_serving(struct volley_server *server)
{
	int fd = loopback_open("127.0.0.1:0", NULL);

	cr_assert(peer_ask(fd, LISTENER_ADDR(server, 0), 5));
	close(fd);
}

static void never(struct volley_worker *worker, void *arg)
{
	(void)worker, (void)arg;
	cr_assert_fail();
}

static int listen_wildcard(struct volley_server *server)
{
	return volley_server_listen(server, "0.0.0.0:0", VOLLEY_LISTEN(.on_batch = peer_echo),
				    NULL);
}

static char last_log[512];

static void on_log(enum volley_log_level level, const char *text, void *arg)
{
	(void)arg;
	if (level == VOLLEY_LOG_ERROR)
		snprintf(last_log, sizeof last_log, "%s", text);
}

/* Fails with this error, or shows that it can do without. Returns how often it failed. */
static unsigned int fail_new(enum fault_function function, int error, const char *io)
{
	unsigned int n_failed = 0;

	for (unsigned int nth = 1;; nth++) {
		struct volley_server *server = NULL;
		int n_fds = loopback_n_fds();
		int r;

		fault_arm(function, nth, error);
		last_log[0] = '\0';
		r = volley_server_new(VOLLEY_CONFIG(.n_workers = 2, .io = io, .log = on_log),
				      &server);
		if (fault_disarm() == 0) {
			cr_assert_eq(r, 0);
			volley_server_free(server);
			return n_failed;
		}
		if (r < 0) {
			n_failed++;
			cr_assert_eq(r, -error, "call %u of %d: %d", nth, function, r);
			cr_assert_null(server);
			cr_assert_neq(last_log[0], '\0', "call %u of %d: no word", nth, function);
		} else {
			volley_server_free(server);
		}
		cr_assert_eq(loopback_n_fds(), n_fds, "call %u of %d leaked", nth, function);
	}
}

Test(faults, new_survives_every_failure)
{
	for (size_t i = 0; i < 2; i++) {
		const char *io = i == 0 ? "mmsg" : "msg";

		cr_assert_geq(fail_new(FAULT_ALIGNED_ALLOC, ENOMEM, io), 20);
		cr_assert_geq(fail_new(FAULT_MMAP, ENOMEM, io), 6);
		cr_assert_geq(fail_new(FAULT_EVENTFD, EMFILE, io), 3);
		fail_new(FAULT_SOCKET, EMFILE, io);
		fail_new(FAULT_SETSOCKOPT, EPERM, io);
		fail_new(FAULT_GETSOCKOPT, EPERM, io);
		fail_new(FAULT_BIND, EADDRINUSE, io);
		fail_new(FAULT_SYSCALL, ENOBUFS, io);
	}
}

/* A kernel without the batch calls: auto goes on to the next backend, mmsg says so. */
Test(faults, auto_takes_what_the_kernel_has)
{
	struct volley_server *server;

	fault_arm(FAULT_SYSCALL, 1, ENOSYS);
	cr_assert_eq(volley_server_new(VOLLEY_CONFIG(.n_workers = 1, .io = "mmsg"), &server),
		     -ENOSYS);
	fault_arm(FAULT_SYSCALL, 2, EPERM);
	cr_assert_eq(volley_server_new(VOLLEY_CONFIG(.n_workers = 1, .io = "auto"), &server), 0);
	fault_disarm();
	cr_assert_str_eq(volley_server_get_io(server), "msg");
	cr_assert_eq(listen_wildcard(server), 0);
	cr_assert_eq(volley_server_free(server), 0);
}

static unsigned int fail_listen(enum fault_function function, int error, const char *address)
{
	struct volley_server *server;
	unsigned int n_failed = 0;
	int n_fds;

	cr_assert_eq(volley_server_new(VOLLEY_CONFIG(.n_workers = 2, .log = on_log), &server), 0);
	n_fds = loopback_n_fds();
	for (unsigned int nth = 1;; nth++) {
		int r;

		last_log[0] = '\0';
		fault_arm(function, nth, error);
		r = volley_server_listen(server, address, VOLLEY_LISTEN(.on_batch = peer_echo),
					 NULL);
		if (fault_disarm() == 0) {
			cr_assert_geq(r, 0);
			break;
		}
		if (r >= 0)
			continue; /* it can do without */
		n_failed++;
		cr_assert_eq(r, -error, "call %u of %d: %d", nth, function, r);
		cr_assert_neq(last_log[0], '\0', "call %u of %d: no word", nth, function);
		if (function != FAULT_ALIGNED_ALLOC)
			cr_assert_not_null(strstr(last_log, "cannot listen on"), "\"%s\"",
					   last_log);
	}
	/* A socket for each worker, and for a wildcard one that hears of addresses. */
	cr_assert_eq(loopback_n_fds() - n_fds,
		     2 * (int)server->n_listeners + (server->shared.own.fd >= 0));
	cr_assert_eq(volley_server_start(server), 0);
	cr_assert_eq(volley_server_free(server), 0);
	return n_failed;
}

Test(faults, listen_survives_every_failure)
{
	cr_assert_geq(fail_listen(FAULT_ALIGNED_ALLOC, ENOMEM, "0.0.0.0:0"), 4);
	cr_assert_eq(fail_listen(FAULT_SOCKET, EMFILE, "0.0.0.0:0"), 2);
	cr_assert_eq(fail_listen(FAULT_BIND, EACCES, "0.0.0.0:0"), 2);
	cr_assert_eq(fail_listen(FAULT_GETSOCKNAME, ENOBUFS, "0.0.0.0:0"), 1);
	cr_assert_geq(fail_listen(FAULT_SETSOCKOPT, EPERM, "[::]:0"), 4);
	cr_assert_eq(fail_listen(FAULT_GETSOCKOPT, EPERM, "[::]:0"), 0, "all does without");
}

static unsigned int fail_start(enum fault_function function, int error, int expected)
{
	struct volley_server *server;
	unsigned int n_failed = 0;
	int n_fds;

	cr_assert_eq(volley_server_new(VOLLEY_CONFIG(.n_workers = 2, .log = on_log), &server), 0);
	cr_assert_eq(listen_wildcard(server), 0);
	n_fds = loopback_n_fds();
	for (unsigned int nth = 1;; nth++) {
		unsigned int n_fired;
		int r;

		last_log[0] = '\0';
		fault_arm(function, nth, error);
		r = volley_server_start(server);
		n_fired = fault_disarm();
		if (r >= 0)
			cr_assert_eq(volley_server_stop(server), 0);
		if (n_fired == 0)
			break;
		if (r >= 0)
			continue;
		n_failed++;
		cr_assert_eq(r, expected, "call %u of %d: %d", nth, function, r);
		cr_assert_neq(last_log[0], '\0', "call %u of %d: no word", nth, function);
		cr_assert_eq(loopback_n_fds(), n_fds, "call %u of %d leaked", nth, function);
		cr_assert_eq(volley_server_post(server, never, NULL), -ESHUTDOWN);
	}
	cr_assert_eq(volley_server_start(server), 0);
	cr_assert_eq(volley_server_drain(server), 0);
	cr_assert_eq(volley_server_free(server), 0);
	return n_failed;
}

Test(faults, start_survives_every_failure)
{
	cr_assert_eq(fail_start(FAULT_PTHREAD_CREATE, EAGAIN, -EAGAIN), 2);
	cr_assert_geq(fail_start(FAULT_ALIGNED_ALLOC, ENOMEM, -ENOMEM), 4);
	cr_assert_eq(fail_start(FAULT_EVENT_CONFIG_NEW, ENOMEM, -ENOMEM), 2);
	cr_assert_eq(fail_start(FAULT_EVENT_BASE_NEW_WITH_CONFIG, ENOMEM, -ENOMEM), 2);
	cr_assert_geq(fail_start(FAULT_EVENT_NEW, ENOMEM, -ENOMEM), 8);
	cr_assert_geq(fail_start(FAULT_EVENT_ADD, ENOMEM, -ENOMEM), 4);
}

static void on_urg(int signo)
{
	(void)signo;
}

Test(faults, a_signal_of_the_programs_own_is_in_the_way)
{
	struct sigaction action = { .sa_handler = on_urg };
	struct volley_server *server;

	cr_assert_eq(sigaction(SIGURG, &action, NULL), 0);
	cr_assert_eq(volley_server_new(VOLLEY_CONFIG(.n_workers = 1, .log = on_log), &server), 0);
	cr_assert_eq(listen_wildcard(server), 0);
	cr_assert_eq(volley_server_start(server), -EBUSY);
	cr_assert_not_null(strstr(last_log, "volley_cancel_init"), "\"%s\"", last_log);
	cr_assert_eq(signal(SIGURG, SIG_DFL) == SIG_ERR, 0);
	cr_assert_eq(volley_server_start(server), 0);
	expect_serving(server);
	cr_assert_eq(volley_server_free(server), 0);
}
