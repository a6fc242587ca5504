/* SPDX-License-Identifier: MIT */

/*
 * A listener on all addresses sends to none of them with its own port, by whichever call: whoever
 * replies by volley_worker_send() to a request with a forged source would talk to itself for ever.
 */

#include <errno.h>

#include <volley/send.h>

#include "bounds.h"
#include "lib/listeners.h"

static struct volley_worker *seen;

static int on_start(struct volley_worker *worker, void *arg)
{
	(void)arg;
	seen = worker;
	return 0;
}

static void post(struct volley_worker *worker, void *arg)
{
	const struct volley_addr *own = arg;

	CHECK_EQ(volley_worker_send(worker, listener_at(volley_worker_get_server(worker), 0), own,
				    "x", 1, NULL),
		 -EINVAL);
}

/* The listener's port there is itself, another port is somebody else. `own` stays for the post. */
static void try_address(struct volley_server *server, const char *text, in_port_t port,
			struct volley_addr *own)
{
	struct volley_addr other;

	REQUIRE(volley_addr_parse(text, own) == 0);
	other = *own;
	own->in.sin_port = port;
	CHECK_EQ(volley_server_send(server, listener_at(server, 0), own, "x", 1, NULL), -EINVAL);
	CHECK_EQ(volley_worker_send(seen, listener_at(volley_worker_get_server(seen), 0), own, "x",
				    1, NULL),
		 -EINVAL);
	CHECK_EQ(volley_server_post(server, post, own), 0);
	CHECK_EQ(volley_server_send(server, listener_at(server, 0), &other, "x", 1, NULL), 0);
}

int main(void)
{
	const struct volley_config *config = VOLLEY_CONFIG(.n_workers = 1, .on_start = on_start);
	const struct volley_listen_config *listen = VOLLEY_LISTEN(.on_packet = bounds_on_packet);
	struct volley_server *server;
	struct volley_addr own[2];
	struct volley_stats stats;
	in_port_t port;

	promise_begin(10);
	REQUIRE(volley_server_new(config, &server) == 0);
	REQUIRE(volley_server_listen(server, "0.0.0.0:0", listen, NULL) == 0);
	port = LISTENER_ADDR(server, 0)->in.sin_port;
	REQUIRE(volley_server_start(server) == 0);
	try_address(server, "127.0.0.1:9", port, &own[0]);
	try_address(server, "127.1.2.3:9", port, &own[1]);
	CHECK_EQ(volley_server_stop(server), 0);
	CHECK_EQ(volley_server_close(server), 0);
	stats = bounds_stats(server);
	CHECK_EQ(stats.tx_dropped[VOLLEY_TX_REFUSED], 6);
	CHECK_EQ(stats.delivered, 0);
	volley_server_free(server);
	return check_done();
}
