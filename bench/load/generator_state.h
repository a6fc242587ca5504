/* SPDX-License-Identifier: MIT */
#ifndef BENCH_GENERATOR_STATE_H
#define BENCH_GENERATOR_STATE_H

/* The struct behind struct bench_gen, for its two halves: generator.c and generator_check.c. */

#include <sys/socket.h>

#include "common/histogram.h"
#include "generator_counts.h"
#include "load.h"

/* Messages per sendmmsg and per recvmmsg. */
#define GEN_N_MSGS 64

/* At the head of every payload that has the room. */
struct gen_stamp {
	uint32_t magic;
	uint32_t client;
	uint64_t seq;
	uint64_t due_ns;
};

/*
 * Replies are known by their sequence number; of the newest 4 Mi it is kept whether they came. At a
 * million datagrams a second that is four seconds, far more than any socket buffer holds.
 */
#define GEN_SEEN_BITS (UINT64_C(1) << 22)

struct gen_tx {
	struct mmsghdr msgs[GEN_N_MSGS];
	struct iovec iovs[GEN_N_MSGS];
	uint64_t control[GEN_N_MSGS][8]; /* UDP_SEGMENT and IP_PKTINFO: 24 + 32 bytes */
	uint8_t *payloads;               /* GEN_N_MSGS times n_payload bytes */
	uint32_t n_payload;
};

struct gen_rx {
	struct mmsghdr msgs[GEN_N_MSGS];
	struct iovec iovs[GEN_N_MSGS];
	uint64_t control[GEN_N_MSGS][4];
	uint8_t *slots;
	uint32_t slot_bytes;
	uint32_t n_msgs;
};

struct bench_gen {
	struct bench_load load;
	uint32_t magic;
	struct sockaddr_in *servers;
	int *fds;
	uint32_t *refused_before; /* SO_MEMINFO's drops when each socket was opened */
	uint32_t *next_client;    /* per socket */
	uint32_t next_socket;
	uint32_t n_weights;
	uint64_t n_bursts; /* picks the size */
	uint64_t next_seq;
	uint64_t next_due_ns;
	uint64_t last_reply_ns;
	uint64_t *seen;
	uint64_t *newest; /* per client, highest sequence number of a reply + 1 */
	uint64_t outstanding;
	struct bench_gen_counts counts;
	struct bench_histogram latency;
	struct bench_histogram slip;
	struct gen_tx tx;
	struct gen_rx rx;
};

#endif
