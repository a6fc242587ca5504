/* SPDX-License-Identifier: MIT */

/* A server that was drained hands its sockets over: they take datagrams again. */

#include "handover.h"

int main(void)
{
	struct volley_server *old;
	struct volley_server *new;
	struct volley_addr addr;
	struct giver giver;

	promise_begin(10);
	old = open_server();
	addr = listen_at(old, NULL);
	CHECK(volley_server_start(old) == 0);
	CHECK(volley_server_drain(old) == 0);
	begin(&giver, old, PATIENCE_US);
	new = import(&addr);
	CHECK(volley_server_import_commit(new, fds[1], PATIENCE_US) == 0);
	CHECK(giver_join(&giver) == 0);
	volley_server_free(old);
	CHECK(is_replied_to(&addr));
	volley_server_free(new);
	close(fds[1]);
	return check_done();
}
