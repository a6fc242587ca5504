/* SPDX-License-Identifier: MIT */

/*
 * What on_stop sends leaves and is counted, in every wait strategy; nothing of it is left for the
 * next start, not even where its listener is gone by then.
 */

#include "lib/listeners.h"
#include "sending.h"

static struct volley_addr peer;

static void on_stop(struct volley_worker *worker, void *arg)
{
	(void)arg;
	CHECK_EQ(say(worker, &peer, "bye"), 0);
}

static void try(const struct volley_config *config, int receiver)
{
	struct volley_server *server = server_open(config);
	char buf[8];

	REQUIRE(volley_server_start(server) == 0);
	CHECK_EQ(volley_server_stop(server), 0);
	CHECK(receiver_expect(receiver, "bye"));
	CHECK_EQ(get_stats(server).tx_sent, 1);
	CHECK(is_balanced(server));

	CHECK_EQ(volley_listener_close(server, listener_at(server, 0)), 0);
	REQUIRE(volley_server_listen(server, "127.0.0.1:0", VOLLEY_LISTEN(.on_batch = echo),
				     NULL) >= 0);
	REQUIRE(volley_server_start(server) == 0);
	CHECK_EQ(receiver_take(receiver, buf, sizeof buf, 0), -1);
	CHECK_EQ(volley_server_stop(server), 0);
	CHECK(receiver_expect(receiver, "bye"));
	CHECK_EQ(get_stats(server).tx_requested, 2);
	CHECK(is_balanced(server));
	CHECK_EQ(volley_server_free(server), 0);
}

int main(void)
{
	promise_begin(20);
	for_each_wait(VOLLEY_CONFIG(.n_workers = 1, .on_stop = on_stop), try, receiver_open(&peer));
	return check_done();
}
