/* SPDX-License-Identifier: MIT */

/* What on_start sends leaves before the first wait, in every wait strategy. */

#include "sending.h"

static struct volley_addr peer;

static int on_start(struct volley_worker *worker, void *arg)
{
	(void)arg;
	CHECK_EQ(say(worker, &peer, "hello"), 0);
	return 0;
}

/* Nothing else comes, and no loop of the user's runs. */
static void try(const struct volley_config *config, int receiver)
{
	struct volley_server *server = server_open(config);

	REQUIRE(volley_server_start(server) == 0);
	CHECK(receiver_expect(receiver, "hello"));
	CHECK_EQ(volley_server_stop(server), 0);
	CHECK_EQ(get_stats(server).tx_sent, 1);
	CHECK(is_balanced(server));
	CHECK_EQ(volley_server_free(server), 0);
}

int main(void)
{
	promise_begin(20);
	for_each_wait(VOLLEY_CONFIG(.n_workers = 1, .on_start = on_start), try,
		      receiver_open(&peer));
	return check_done();
}
