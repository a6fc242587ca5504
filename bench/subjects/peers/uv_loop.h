/* SPDX-License-Identifier: MIT */
#ifndef BENCH_UV_LOOP_H
#define BENCH_UV_LOOP_H

/* What both ways to use libuv share: a loop with the one socket, and how many replies are left. */

#include <stdint.h>

#include <uv.h>

#include "subjects/peer.h"

struct bench_uv_loop {
	uv_loop_t uv;
	uv_udp_t udp;
	uint64_t n_left;
};

/*
 * Start to receive. The flags are those of uv_udp_init_ex(); udp.data is the bench_loop. 0 or
 * -errno.
 */
int bench_uv_loop_open(struct bench_uv_loop *self, struct bench_loop *loop, unsigned int flags,
		       uv_alloc_cb on_alloc, uv_udp_recv_cb on_recv);

/* Until n replies are counted. */
void bench_uv_loop_run(struct bench_uv_loop *self, uint64_t n);

/* A reply has left, or failed. */
void bench_uv_loop_count(struct bench_uv_loop *self);

#endif
