/* SPDX-License-Identifier: MIT */

/* The peers, in the order of the tables. */

#include "peers/peers.h"

static const struct bench_peer *const peers[] = {
	&bench_peer_recvfrom, &bench_peer_recvmmsg, &bench_peer_epoll, &bench_peer_gso,
	&bench_peer_gso_read, &bench_peer_libevent, &bench_peer_libuv, &bench_peer_libuv_mmsg,
	&bench_peer_io_uring, &bench_peer_asio,
};

const struct bench_peer *bench_peers_get(size_t i)
{
	return i < sizeof peers / sizeof peers[0] ? peers[i] : NULL;
}
