/* SPDX-License-Identifier: MIT */

/* Sockets that only fail, on a scripted backend and with a clock of the test's own. */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/fake_io.h"
#include "path/pipeline.h"
#include "worker/rest.h"

static const uint64_t ms = 1000000;

static char told[256];
static unsigned int n_told;

static void on_log(enum volley_log_level level, const char *text, void *arg)
{
	(void)arg;
	if (level != VOLLEY_LOG_ERROR)
		return;
	n_told++;
	snprintf(told, sizeof told, "%s", text);
}

static void ignore(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	(void)worker;
	(void)packet;
	(void)arg;
}

static struct fake_server open_server(void)
{
	struct fake_server fake;

	fake_server_open(&fake, VOLLEY_CONFIG(.n_workers = 1, .log = on_log), "127.0.0.1:0",
			 VOLLEY_LISTEN(.on_packet = ignore));
	return fake;
}

static struct vly_sock *get_sock(const struct fake_server *fake)
{
	return vly_socks_get(&fake->worker->socks, 0);
}

/* So many receives in a row that fail. */
static void fail(struct fake_server *fake, unsigned int n, int error)
{
	for (unsigned int i = 0; i < n; i++) {
		fake_io_recv_error(fake->io, 0, error);
		vly_socks_set_ready(get_sock(fake), true);
		vly_pipeline_run_once(fake->worker, 1);
	}
}

Test(rest, a_few_failures_are_no_reason)
{
	struct fake_server fake = open_server();

	fail(&fake, VLY_SOCKS_N_REFUSED - 1, -EPERM);
	cr_assert_not(vly_rest_has_any(fake.worker));
	fake_io_recv_n(fake.io, 0, 1, 8);
	cr_assert_eq(fake_server_run(&fake), 1);
	fail(&fake, VLY_SOCKS_N_REFUSED - 1, -EPERM);
	cr_assert_not(vly_rest_has_any(fake.worker), "it has to be in a row");
	fake_server_close(&fake);
}

Test(rest, each_is_twice_as_long_and_the_second_is_the_last)
{
	struct fake_server fake = open_server();
	const struct vly_sock *sock = get_sock(&fake);
	uint64_t now_ns = 1000 * ms;
	uint64_t rest_ns = ms;

	fail(&fake, VLY_SOCKS_N_REFUSED, -EPERM);
	for (unsigned int i = 0; i < 14; i++) {
		cr_assert(vly_rest_has_any(fake.worker));
		vly_rest_run(fake.worker, now_ns);
		cr_assert_not(sock->reads);
		cr_assert_eq(vly_rest_get_timeout(fake.worker, now_ns), (int64_t)rest_ns);
		cr_assert_eq(n_told, i >= 10 ? 1u : 0u);
		vly_rest_run(fake.worker, now_ns + rest_ns - 1);
		cr_assert_not(sock->reads, "it is not over");
		now_ns += rest_ns;
		vly_rest_run(fake.worker, now_ns);
		cr_assert(sock->reads);
		cr_assert_eq(vly_rest_get_timeout(fake.worker, now_ns), -1);
		fail(&fake, 1, -EPERM);
		rest_ns = rest_ns < 1024 * ms ? 2 * rest_ns : rest_ns;
	}
	cr_assert(strstr(told, "127.0.0.1:") != NULL && strstr(told, "EPERM") != NULL);
	fake_server_close(&fake);
}

Test(rest, one_datagram_ends_it_all)
{
	struct fake_server fake = open_server();

	fail(&fake, VLY_SOCKS_N_REFUSED + 5, -EPERM);
	vly_rest_run(fake.worker, 1000 * ms);
	vly_rest_run(fake.worker, 2000 * ms);
	fake_io_recv_n(fake.io, 0, 3, 8);
	cr_assert_eq(fake_server_run(&fake), 3);
	cr_assert_not(vly_rest_has_any(fake.worker));
	fail(&fake, VLY_SOCKS_N_REFUSED, -EPERM);
	vly_rest_run(fake.worker, 3000 * ms);
	cr_assert_eq(vly_rest_get_timeout(fake.worker, 3000 * ms), (int64_t)ms,
		     "from the beginning");
	fake_server_close(&fake);
}

/* A hand-over's pause outlasts a rest, and who closes a listener need not wait for one. */
Test(rest, a_pause_ends_it_and_nothing_reads_behind_the_pause)
{
	struct fake_server fake = open_server();
	struct vly_sock *sock = get_sock(&fake);

	fail(&fake, VLY_SOCKS_N_REFUSED, -EPERM);
	vly_rest_run(fake.worker, 1000 * ms);
	vly_socks_set_reads(sock, false);
	cr_assert_eq(vly_rest_get_timeout(fake.worker, 1000 * ms), -1);
	vly_rest_run(fake.worker, 9000 * ms);
	cr_assert_not(sock->reads);
	fake_server_close(&fake);
}
