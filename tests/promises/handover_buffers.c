/* SPDX-License-Identifier: MIT */

/*
 * A new process that wants small receive buffers has them when the sockets are its own. Before, the
 * old one serves with what it has, and loses no datagram that its own buffer would hold.
 */

#include "handover.h"

enum { N = 500 };

static void send_some(const struct volley_addr *to)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	for (int i = 0; i < N; i++)
		REQUIRE(sendto(fd, "x", 1, 0, &to->sa, to->len) == 1);
	close(fd);
}

int main(void)
{
	struct volley_server *old;
	struct volley_server *new;
	struct volley_addr addr;
	struct giver giver;
	char text[VOLLEY_ADDR_TEXT_BYTES];

	promise_begin(10);
	old = open_server(); /* it does not run: what comes stays in the queue */
	addr = listen_at(old, NULL);
	volley_addr_format(&addr, text, sizeof text);
	begin(&giver, old, PATIENCE_US);
	new = open_server();
	REQUIRE(volley_server_import_fds(new, fds[1], PATIENCE_US, NULL, NULL) == 1);
	REQUIRE(volley_server_listen(new, text,
				     VOLLEY_LISTEN(.on_batch = echo, .rcvbuf_bytes = 4096),
				     NULL) >= 0);
	send_some(&addr);
	CHECK_EQ(get_stats(old).kernel_drops, 0);
	REQUIRE(volley_server_start(new) == 0);
	CHECK_EQ(volley_server_import_commit(new, fds[1], PATIENCE_US), 0);
	CHECK_EQ(giver_join(&giver), 0);
	CHECK_EQ(get_stats(new).kernel_drops, 0);
	CHECK_EQ(volley_server_stop(new), 0);
	send_some(&addr);
	CHECK(get_stats(new).kernel_drops > 0); /* it is small now */
	CHECK_EQ(volley_server_free(new), 0);
	CHECK_EQ(volley_server_free(old), 0);
	close(fds[1]);
	return check_done();
}
