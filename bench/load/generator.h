/* SPDX-License-Identifier: MIT */
#ifndef BENCH_GENERATOR_H
#define BENCH_GENERATOR_H

/*
 * The load generator: one thread, any number of client addresses, closed or open loop, every
 * reply checked against what was sent.
 */

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/histogram.h"

#define BENCH_LOAD_MAX_SIZES 8
#define BENCH_LOAD_MAX_BURST 64

/* Payload sizes with weights: "64" or "64:7,576:4,1472:1". */
struct bench_sizes {
	uint32_t n;
	uint32_t bytes[BENCH_LOAD_MAX_SIZES];
	uint32_t weight[BENCH_LOAD_MAX_SIZES];
};
int bench_sizes_parse(const char *text, struct bench_sizes *ret_sizes);
uint32_t bench_sizes_get_max(const struct bench_sizes *sizes);

struct bench_load {
	struct sockaddr_in server;
	uint32_t n_servers; /* bursts go to server, server + 1 ... in turn; 0 is 1 */
	struct bench_sizes sizes;
	uint32_t source; /* first client address, host order; clients get it and those after it */
	uint32_t n_clients; /* distinct (address, port) pairs */
	uint32_t n_sockets; /* they share so many sockets; client c uses socket c mod n_sockets */
	uint32_t n_burst;   /* datagrams a client sends at once, 1 to 64: one UDP_SEGMENT message */
	uint32_t n_window;  /* closed loop: datagrams outstanding in all; 0: open loop */
	double rate;        /* open loop: datagrams per second; 0: as fast as it goes */
	bool drop_replies;  /* replies are refused by a filter and counted by the kernel, unread */
	bool use_gro;       /* clients take coalesced replies */
	const char *path;   /* "over veth", for the description; NULL on loopback */
	bool is_single;     /* a burst's datagrams leave as messages of their own, no UDP_SEGMENT */
};

/* In words: "64-byte echo, 16 clients in bursts of 2, window 256". */
void bench_load_describe(const struct bench_load *load, char *text, size_t n_text);

/* Datagrams, since the generator was opened. */
struct bench_gen_counts {
	uint64_t sent;
	uint64_t send_calls;
	uint64_t send_failed; /* refused by our own kernel; not sent */
	uint64_t received;
	uint64_t unique;
	uint64_t duplicates;
	uint64_t reordered; /* overtaken by a later one of the same client */
	uint64_t foreign;   /* not ours, or of the wrong length */
	uint64_t unstamped; /* too short to carry a stamp: counted, not checked */
	uint64_t assumed_lost;
};

struct bench_gen;

/* 0 or -errno. */
int bench_gen_open(const struct bench_load *load, struct bench_gen **ret_gen);
void bench_gen_close(struct bench_gen *gen);

/* Generate for a while. Stops early, with -EINTR, when the process has been interrupted. */
int bench_gen_run(struct bench_gen *gen, uint64_t duration_ns);

/* Send exactly n datagrams as fast as it goes, reading nothing. 0 or -errno. */
int bench_gen_push(struct bench_gen *gen, uint64_t n);

/* Read until all replies are there or none came for quiet_ns. */
void bench_gen_drain(struct bench_gen *gen, uint64_t quiet_ns);

void bench_gen_get_counts(const struct bench_gen *gen, struct bench_gen_counts *ret_counts);

/* Replies that the kernel dropped at the clients' sockets: refused by their filters with
 * drop_replies, else for lack of room. */
uint64_t bench_gen_get_refused(const struct bench_gen *gen);

/* Open loop: from the intended send time to the reply, and to the actual send. Owned by gen. */
struct bench_histogram *bench_gen_get_latency(struct bench_gen *gen);
struct bench_histogram *bench_gen_get_slip(struct bench_gen *gen);

/* Forget both histograms, as after a warm-up. */
void bench_gen_clear(struct bench_gen *gen);

/* SIGINT or SIGTERM is pending: main() blocks both, so that nothing is torn down half-way. */
bool bench_interrupted(void);

#endif
