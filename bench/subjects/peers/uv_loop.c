/* SPDX-License-Identifier: MIT */

/*
 * A libuv loop with one socket. The descriptor is the caller's, so nothing here closes it: libuv's
 * handle is forgotten with its loop.
 */

#include "uv_loop.h"

int bench_uv_loop_open(struct bench_uv_loop *self, struct bench_loop *loop, unsigned int flags,
		       uv_alloc_cb on_alloc, uv_udp_recv_cb on_recv)
{
	int r = uv_loop_init(&self->uv);

	if (r >= 0)
		r = uv_udp_init_ex(&self->uv, &self->udp, flags);
	self->udp.data = loop;
	if (r >= 0)
		r = uv_udp_open(&self->udp, loop->fd);
	if (r >= 0)
		r = uv_udp_recv_start(&self->udp, on_alloc, on_recv);
	return r;
}

void bench_uv_loop_run(struct bench_uv_loop *self, uint64_t n)
{
	self->n_left = n;
	uv_run(&self->uv, UV_RUN_DEFAULT);
}

void bench_uv_loop_count(struct bench_uv_loop *self)
{
	if (--self->n_left == 0)
		uv_stop(&self->uv);
}
