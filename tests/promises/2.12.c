/* SPDX-License-Identifier: MIT */

/*
 * A hand-over fails after the new server has served datagrams: once it has ended they are in the
 * books of the old one, which serves on.
 */

#include <errno.h>

#include "handover.h"

enum { SHORT_US = 200000 };

int main(void)
{
	struct volley_stats stats = { .size = sizeof stats };
	struct volley_server *old;
	struct volley_server *new;
	struct volley_addr addr;
	struct giver giver;

	promise_begin(20);
	old = open_server();
	addr = listen_at(old, NULL);
	begin(&giver, old, SHORT_US);
	new = import(&addr);
	for (int i = 0; i < 5; i++)
		CHECK(is_replied_to(&addr)); /* the old one rests */
	CHECK(giver_join(&giver) == -ETIMEDOUT);
	CHECK(volley_server_import_commit(new, fds[1], 1000000) < 0);
	CHECK(volley_server_drain(new) == 0);
	CHECK(volley_server_free(new) == 0);
	CHECK(volley_server_start(old) == 0);
	CHECK(is_replied_to(&addr));
	CHECK(volley_server_drain(old) == 0);
	CHECK(volley_server_get_stats(old, &stats) == 0);
	CHECK_EQ(stats.delivered, 6);
	CHECK_EQ(stats.tx_sent, 6);
	volley_server_free(old);
	return check_done();
}
