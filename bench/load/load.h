/* SPDX-License-Identifier: MIT */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

/* What the generator is asked to send. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

#endif
