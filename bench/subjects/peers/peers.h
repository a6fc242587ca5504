/* SPDX-License-Identifier: MIT */
#ifndef BENCH_PEERS_H
#define BENCH_PEERS_H

#include "subjects/peer.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * One per file of this folder; those whose library is missing are not built, and peers_*.c lists
 * them as absent.
 */
extern const struct bench_peer bench_peer_recvfrom;
extern const struct bench_peer bench_peer_recvmmsg;
extern const struct bench_peer bench_peer_epoll;
extern const struct bench_peer bench_peer_gso;
extern const struct bench_peer bench_peer_gso_read;
extern const struct bench_peer bench_peer_libevent;
extern const struct bench_peer bench_peer_libuv;
extern const struct bench_peer bench_peer_libuv_mmsg;
extern const struct bench_peer bench_peer_io_uring;
extern const struct bench_peer bench_peer_asio;

#ifdef __cplusplus
}
#endif

#endif
