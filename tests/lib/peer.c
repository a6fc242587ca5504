/* SPDX-License-Identifier: MIT */

#include "lib/peer.h"
#include "lib/listeners.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/loopback.h"

const struct peer_way peer_ways[PEER_N_WAYS] = {
	{ VOLLEY_WAIT_EVENT, "mmsg" }, { VOLLEY_WAIT_EVENT, "msg" }, { VOLLEY_WAIT_BLOCK, "mmsg" },
	{ VOLLEY_WAIT_BLOCK, "msg" },  { VOLLEY_WAIT_SPIN, "mmsg" }, { VOLLEY_WAIT_SPIN, "msg" },
};

void peer_echo(struct volley_worker *worker, struct volley_packet *packets, size_t n, void *arg)
{
	(void)worker, (void)arg;
	for (size_t i = 0; i < n; i++)
		volley_packet_reply(&packets[i], packets[i].data, packets[i].len);
}

struct volley_server *peer_server(const struct volley_config *config, volley_batch_fn fn, void *arg,
				  struct volley_addr *ret_addr)
{
	struct volley_server *server;

	if (volley_server_new(config, &server) < 0 ||
	    volley_server_listen(server, "127.0.0.1:0", VOLLEY_LISTEN(.on_batch = fn, .arg = arg),
				 NULL) < 0) {
		fprintf(stderr, "peer: no server\n");
		abort();
	}
	*ret_addr = listener_addr(server, 0);
	return server;
}

int peer_ask(int fd, const struct volley_addr *server, uint8_t tag)
{
	uint8_t buf[64];

	loopback_send(fd, server, tag, 16);
	return loopback_recv(fd, buf, sizeof buf, NULL) == 16 && buf[0] == tag;
}
