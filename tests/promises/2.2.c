/* SPDX-License-Identifier: MIT */

/*
 * The new server of a hot restart has said that it took everything, and then hears nothing for too
 * long: a callback of the old one takes its time. One of them serves in the end.
 */

#include <stdatomic.h>

#include "handover.h"
#include "lib/listeners.h"

enum { SHORT_US = 500000 };

static int block[2];   /* the callback waits for its end */
static int blocked[2]; /* and says that it does */

static void wait_for_end(struct volley_worker *worker, struct volley_packet *packets, size_t n,
			 void *arg)
{
	char byte = 0;

	(void)worker;
	(void)packets;
	(void)n;
	(void)arg;
	CHECK(write(blocked[1], &byte, 1) == 1);
	CHECK(read(block[0], &byte, 1) == 0);
}

static struct volley_server *open_slow(struct volley_addr *ret_addr)
{
	struct volley_server *server = NULL;
	char byte;
	int fd;

	CHECK(volley_server_new(VOLLEY_CONFIG(.n_workers = 1, .n_handlers = 1, .drain_us = 100000),
				&server) == 0);
	CHECK(volley_server_listen(server, "127.0.0.1:0", VOLLEY_LISTEN(.on_batch = wait_for_end),
				   NULL) == 0);
	CHECK(volley_server_start(server) == 0);
	*ret_addr = listener_addr(server, 0);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	CHECK(sendto(fd, "x", 1, 0, &ret_addr->sa, ret_addr->len) == 1);
	close(fd);
	CHECK(read(blocked[0], &byte, 1) == 1);
	return server;
}

int main(void)
{
	struct volley_server *old;
	struct volley_server *new;
	struct volley_addr addr;
	struct giver giver;
	int r;

	promise_begin(20);
	CHECK(pipe(block) == 0 && pipe(blocked) == 0);
	old = open_slow(&addr);
	begin(&giver, old, PATIENCE_US);
	new = import(&addr);
	r = volley_server_import_commit(new, fds[1], SHORT_US);
	if (r < 0)
		volley_server_free(new); /* as a program does */
	close(block[1]);
	if (giver_join(&giver) == 0)
		volley_server_free(old); /* the same */
	CHECK(is_replied_to(&addr));
	return check_done();
}
