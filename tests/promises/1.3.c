/* SPDX-License-Identifier: MIT */

/* What on_start sends leaves before the first wait, in every wait strategy. */

#include <event2/event.h>

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
	static const uint32_t waits[] = { VOLLEY_WAIT_EVENT, VOLLEY_WAIT_BLOCK, VOLLEY_WAIT_SPIN,
					  VOLLEY_WAIT_FD };
	struct event_base *base;
	int receiver;

	promise_begin(20);
	receiver = receiver_open(&peer);
	for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++)
		try(VOLLEY_CONFIG(.n_workers = 1, .wait = waits[i], .on_start = on_start),
		    receiver);
	base = event_base_new();
	try(VOLLEY_CONFIG(.event_base = base, .on_start = on_start), receiver);
	event_base_free(base);
	return check_done();
}
