/* SPDX-License-Identifier: MIT */

/*
 * 0.0.0.0 that is mapped into IPv6 is all addresses of IPv4 as well: replies leave from where the
 * requests were sent to, what is sent to it would come back, and it goes with others on its port as
 * 0.0.0.0 does.
 */

#include <errno.h>
#include <stdio.h>

#include "sending.h"

static struct volley_server *server;

static int listen_on(const char *format, uint16_t port)
{
	char text[VOLLEY_ADDR_TEXT_BYTES];

	snprintf(text, sizeof text, format, port);
	return volley_server_listen(server, text, VOLLEY_LISTEN(.on_batch = echo), NULL);
}

/* Listen on the first with a port of the kernel's choice, and on the second with the same. */
static int listen_twice(const char *first, const char *second)
{
	struct volley_addr addr;
	int r;

	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = 2), &server) == 0);
	REQUIRE(listen_on(first, 0) == 0);
	addr = listener_addr(server, 0);
	r = listen_on(second, volley_addr_get_port(&addr));
	volley_server_free(server);
	return r;
}

static void try_replies(void)
{
	struct volley_addr peer, to, own;
	struct volley_addr from = { .len = sizeof from.in };
	int fd = receiver_open(&peer);
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	char byte;

	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = 1), &server) == 0);
	REQUIRE(listen_on("[::ffff:0.0.0.0]:%u", 0) == 0);
	REQUIRE(volley_server_start(server) == 0);
	own = listener_addr(server, 0);
	REQUIRE(volley_addr_parse("127.0.0.7:1", &to) == 0);
	to.in.sin_port = own.in.sin_port;
	REQUIRE(sendto(fd, "x", 1, 0, &to.sa, to.len) == 1 && poll(&pollfd, 1, 5000) == 1);
	REQUIRE(recvfrom(fd, &byte, 1, 0, &from.sa, &from.len) == 1);
	CHECK(volley_addr_is_equal(&from, &to));
	CHECK_EQ(volley_server_send(server, listener_at(server, 0), &own, "x", 1, NULL), -EINVAL);
	CHECK_EQ(volley_server_send(server, listener_at(server, 0), &to, "x", 1, NULL), -EINVAL);
	volley_server_free(server);
	close(fd);
}

int main(void)
{
	promise_begin(30);
	try_replies();
	CHECK_EQ(listen_twice("0.0.0.0:%u", "[::ffff:127.0.0.1]:%u"), 0);
	CHECK_EQ(listen_twice("[::ffff:0.0.0.0]:%u", "127.0.0.1:%u"), 0);
	CHECK_EQ(listen_twice("[::ffff:0.0.0.0]:%u", "[::]:%u"), 0);
	CHECK_EQ(listen_twice("[::ffff:0.0.0.0]:%u", "0.0.0.0:%u"), -EADDRINUSE);
	CHECK_EQ(listen_twice("127.0.0.1:%u", "[::ffff:127.0.0.1]:%u"), -EADDRINUSE);
	return check_done();
}
