/* SPDX-License-Identifier: MIT */
#ifndef BENCH_GENERATOR_CHECK_H
#define BENCH_GENERATOR_CHECK_H

#include "generator_state.h"

/* Read what is there from all sockets. Datagrams taken. */
uint32_t bench_gen_recv(struct bench_gen *gen);

/* The size of the n-th burst. */
uint32_t bench_gen_pick_size(const struct bench_gen *gen, uint64_t burst_index);

#endif
