/* SPDX-License-Identifier: MIT */

/*
 * With a loop of your own and handlers: what a handler's callback asks of its own server never
 * waits, whatever the server does meanwhile. It may be stopping, and then it waits for this very
 * callback.
 */

#include <errno.h>
#include <poll.h>

#include <volley/cancel.h>

#include "bounds.h"
#include "lib/listeners.h"

static struct volley_server *server;
static bool waits_for_stop;
static atomic_bool has_begun;

/* A stop cancels what handlers wait for, so from then on it waits for us. */
static void await_stop(void)
{
	while (!volley_cancel_pending())
		sched_yield();
}

static void on_packet(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	(void)arg;
	atomic_store(&has_begun, true);
	if (waits_for_stop)
		await_stop();
	CHECK_EQ(volley_server_process(server), -EDEADLK);
	CHECK(volley_server_get_timeout_ns(server) <= 0);
	CHECK(volley_server_get_fd(server) >= 0);
	CHECK_EQ(volley_server_start(server), -EALREADY);
	CHECK_EQ(volley_server_run(server), -EINVAL);
	CHECK_EQ(volley_server_stop(server), -EDEADLK);
	CHECK_EQ(volley_server_drain(server), -EDEADLK);
	CHECK_EQ(volley_server_close(server), -EDEADLK);
	CHECK_EQ(volley_server_free(server), -EDEADLK);
	CHECK_EQ(volley_listener_close(server, listener_at(server, 0)), -EDEADLK);
	CHECK_EQ(volley_server_listen(server, "127.0.0.1:0", VOLLEY_LISTEN(.on_packet = on_packet),
				      NULL),
		 -EDEADLK);
	CHECK_EQ(volley_worker_send(worker, listener_at(volley_worker_get_server(worker), 0),
				    packet->peer, "x", 1, NULL),
		 0);
	atomic_fetch_add(&bounds_n_calls, 1);
}

static void try_once(bool at_stop)
{
	struct pollfd fd = { .events = POLLIN };
	struct volley_stats stats;

	waits_for_stop = at_stop;
	atomic_store(&bounds_n_calls, 0);
	atomic_store(&has_begun, false);
	REQUIRE(volley_server_new(VOLLEY_CONFIG(.wait = VOLLEY_WAIT_FD, .n_handlers = 1),
				  &server) == 0);
	bounds_listen(server, VOLLEY_LISTEN(.on_packet = on_packet), 1);
	REQUIRE(volley_server_start(server) == 0);
	fd.fd = volley_server_get_fd(server);
	while (volley_server_process(server) == 0)
		poll(&fd, 1, -1);
	while (!atomic_load(&has_begun))
		sched_yield();
	if (!at_stop)
		bounds_await_calls(1);
	CHECK_EQ(volley_server_stop(server), 0);
	CHECK_EQ(atomic_load(&bounds_n_calls), 1);
	stats = bounds_stats(server);
	CHECK_EQ(stats.delivered, 1);
	CHECK_EQ(stats.tx_requested, 1);
	volley_server_free(server);
}

int main(void)
{
	promise_begin(5);
	try_once(false);
	try_once(true);
	return check_done();
}
