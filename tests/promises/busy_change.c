/* SPDX-License-Identifier: MIT */

/*
 * A worker that has more than it can serve, with callbacks that are slow, takes a new listener and
 * gives up an old one after the volley that it shows, not after a pass over all its sockets; and
 * each of the others is served on, however often that happens.
 */

#include "bounds.h"
#include "lib/listeners.h"

enum { N_LISTENERS = 4, N_EACH = 400, N_BATCH = 8, CALLBACK_US = 4000, N_CHANGES = 6 };
enum { VOLLEY_MS = N_BATCH * CALLBACK_US / 1000 };

int main(void)
{
	struct volley_server *server;

	promise_begin(20);
	server = bounds_open(VOLLEY_CONFIG(.n_workers = 1, .n_batch = N_BATCH), N_LISTENERS, N_EACH,
			     CALLBACK_US);
	REQUIRE(volley_server_start(server) == 0);
	bounds_await_calls(1);
	for (unsigned int i = 0; i < N_CHANGES; i++) {
		double begin_ms = bounds_now_ms();
		struct volley_listener listener;

		REQUIRE(volley_server_listen(server, "127.0.0.1:0",
					     VOLLEY_LISTEN(.on_packet = bounds_on_packet),
					     &listener) == 0);
		BOUNDS_CHECK(begin_ms, 2 * VOLLEY_MS);
		begin_ms = bounds_now_ms();
		CHECK_EQ(volley_listener_close(server, listener), 0);
		BOUNDS_CHECK(begin_ms, 5 * VOLLEY_MS);
	}
	CHECK_EQ(volley_server_stop(server), 0);
	for (uint32_t i = 0; i < N_LISTENERS; i++) {
		struct volley_stats stats = { .size = sizeof stats };

		REQUIRE(volley_listener_get_stats(server, listener_at(server, i), &stats) == 0);
		CHECK(stats.delivered >= N_BATCH);
	}
	CHECK_EQ(volley_server_free(server), 0);
	return check_done();
}
