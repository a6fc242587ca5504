/* SPDX-License-Identifier: MIT */

/*
 * libuv as its own echo server does it: a buffer per datagram, given on to uv_udp_send, freed in
 * its callback. libuv_mmsg.c is the fast way.
 */

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <uv.h>

#include "peers.h"
#include "uv_loop.h"

/* One reply under way, with the buffer it owns. */
struct reply {
	uv_udp_send_t request;
	uv_buf_t buffer;
};

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
	(void)handle;
	buffer->base = malloc(suggested);
	buffer->len = buffer->base != NULL ? suggested : 0;
}

static void on_sent(uv_udp_send_t *request, int status)
{
	struct reply *reply = (struct reply *)(void *)request;
	struct bench_loop *loop = request->handle->data;

	if (status < 0)
		loop->counters->n_failed++;
	bench_counters_add(loop->counters, 1);
	free(reply->buffer.base);
	free(reply);
	bench_uv_loop_count(loop->state);
}

static void on_recv(uv_udp_t *udp, ssize_t len, const uv_buf_t *buffer, const struct sockaddr *peer,
		    unsigned int flags)
{
	struct reply *reply = len >= 0 && peer != NULL ? malloc(sizeof *reply) : NULL;

	(void)flags;
	if (reply == NULL) {
		free(buffer->base);
		return;
	}
	reply->buffer = uv_buf_init(buffer->base, (unsigned int)len);
	if (uv_udp_send(&reply->request, udp, &reply->buffer, 1, peer, on_sent) < 0) {
		free(buffer->base);
		free(reply);
	}
}

static int libuv_open(struct bench_loop *loop)
{
	struct bench_uv_loop *self = calloc(1, sizeof *self);

	loop->state = self;
	return self != NULL ? bench_uv_loop_open(self, loop, AF_UNSPEC, on_alloc, on_recv)
			    : -ENOMEM;
}

static int libuv_run(struct bench_loop *loop, uint64_t n)
{
	bench_uv_loop_run(loop->state, n);
	return 0;
}

static void libuv_close(struct bench_loop *loop)
{
	struct bench_uv_loop *self = loop->state;

	if (self == NULL)
		return;
	uv_udp_recv_stop(&self->udp);
	free(self);
}

const struct bench_peer bench_peer_libuv = {
	.name = "libuv",
	.about = "libuv, uv_udp_recv_start and uv_udp_send",
	.version = uv_version_string,
	.open = libuv_open,
	.run = libuv_run,
	.close = libuv_close,
};
