/* SPDX-License-Identifier: MIT */
#ifndef BENCH_GENERATOR_H
#define BENCH_GENERATOR_H

/*
 * The load generator: one thread, any number of client addresses, closed or open loop, every reply
 * checked against what was sent.
 */

#include <stdint.h>

#include "common/histogram.h"
#include "generator_counts.h"
#include "load.h"

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

/*
 * Replies that the kernel dropped at the clients' sockets: refused by their filters with
 * drop_replies, else for lack of room.
 */
uint64_t bench_gen_get_refused(const struct bench_gen *gen);

/* Open loop: from the intended send time to the reply, and to the actual send. Owned by gen. */
struct bench_histogram *bench_gen_get_latency(struct bench_gen *gen);
struct bench_histogram *bench_gen_get_slip(struct bench_gen *gen);

/* Forget both histograms, as after a warm-up. */
void bench_gen_clear(struct bench_gen *gen);

#endif
