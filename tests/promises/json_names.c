/* SPDX-License-Identifier: MIT */

/*
 * A link may be called almost anything, and its name is part of a link-local listener's address:
 * the statistics are JSON all the same.
 */

#include <string.h>

#include <volley/volley.h>

#include "promise.h"

static void ignore(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	(void)worker, (void)packet, (void)arg;
}

int main(void)
{
	struct volley_server *server;
	static char text[65536];

	promise_begin(10);
	REQUIRE(namespace_run("ip link add 'a\"b\\' type veth peer name c && ip link set c up && "
			      "ip link set 'a\"b\\' up && "
			      "ip -6 address add fe80::1/64 dev 'a\"b\\' nodad"));
	REQUIRE(volley_server_new(NULL, &server) == 0);
	REQUIRE(volley_server_listen(server, "[fe80::1%a\"b\\]:7777",
				     VOLLEY_LISTEN(.on_packet = ignore), NULL) == 0);
	REQUIRE(volley_server_format_stats(server, text, sizeof text) < (int)sizeof text);
	CHECK(strstr(text, "\"address\": \"[fe80::1%a\\u0022b\\u005c]:7777\"") != NULL);
	CHECK_EQ(volley_server_free(server), 0);
	return check_done();
}
