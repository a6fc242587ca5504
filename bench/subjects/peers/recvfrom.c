/* SPDX-License-Identifier: MIT */

/* The textbook loop: one datagram, one recvfrom, one sendto. */

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "peers.h"

static int recvfrom_open(struct bench_loop *loop)
{
	loop->state = malloc(65536);
	return loop->state != NULL ? 0 : -ENOMEM;
}

static int recvfrom_run(struct bench_loop *loop, uint64_t n)
{
	struct bench_counters *counters = loop->counters;
	struct sockaddr_storage peer;
	char *buffer = loop->state;

	for (uint64_t i = 0; i < n; i++) {
		socklen_t n_peer = sizeof peer;
		ssize_t len = recvfrom(loop->fd, buffer, 65536, 0, (struct sockaddr *)&peer,
				       &n_peer);

		counters->n_recv_calls++;
		if (len < 0)
			return -errno;
		counters->n_send_calls++;
		if (sendto(loop->fd, buffer, (size_t)len, 0, (struct sockaddr *)&peer, n_peer) < 0)
			counters->n_failed++;
		bench_counters_add(counters, 1);
	}
	return 0;
}

static void recvfrom_close(struct bench_loop *loop)
{
	free(loop->state);
}

const struct bench_peer bench_peer_recvfrom = {
	.name = "recvfrom",
	.about = "plain recvfrom/sendto, one datagram at a time",
	.open = recvfrom_open,
	.run = recvfrom_run,
	.close = recvfrom_close,
};
