/* SPDX-License-Identifier: MIT */

/*
 * A send by an interface that is not there has a name in the books that says so, and not the one
 * for what nobody has thought of.
 */

#include "lib/listeners.h"
#include "sending.h"

static int send_by(struct volley_server *server, const char *local, const char *peer)
{
	struct volley_addr from, to;

	REQUIRE(volley_addr_parse(local, &from) == 0 && volley_addr_parse(peer, &to) == 0);
	return volley_server_send(server, listener_at(server, 0), &to, "x", 1,
				  VOLLEY_SEND(.local = &from));
}

int main(void)
{
	struct volley_server *server = NULL;
	struct volley_stats stats;

	promise_begin(3);
	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = 1), &server) == 0);
	REQUIRE(volley_server_listen(server, "[::]:0", VOLLEY_LISTEN(.on_batch = echo), NULL) == 0);
	REQUIRE(volley_server_start(server) == 0);
	/* There is no interface 999. */
	CHECK_EQ(send_by(server, "[fe80::1%999]:1", "[::1]:9"), 0);
	CHECK_EQ(send_by(server, "[fe80::1%999]:1", "[fe80::2%999]:9"), 0);
	CHECK_EQ(volley_server_drain(server), 0);
	stats = get_stats(server);
	CHECK_EQ(stats.tx_dropped[VOLLEY_TX_ENETUNREACH], 2);
	CHECK_EQ(stats.tx_dropped[VOLLEY_TX_EOTHER], 0);
	CHECK(is_balanced(server));
	volley_server_free(server);
	return check_done();
}
