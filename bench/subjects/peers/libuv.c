/* SPDX-License-Identifier: MIT */

/* libuv as its own echo server does it: a buffer per datagram, given on to uv_udp_send, freed in
 * its callback. libuv_mmsg.c is the fast way. */

#include <errno.h>
#include <stdlib.h>

#include <uv.h>

#include "peers.h"

struct libuv_state {
	uv_loop_t uv;
	uv_udp_t udp;
	uint64_t left;
};

/* One answer under way, with the buffer it owns. */
struct answer {
	uv_udp_send_t request;
	uv_buf_t buffer;
};

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
	(void)handle;
	buffer->base = malloc(suggested);
	buffer->len = buffer->base ? suggested : 0;
}

static void on_sent(uv_udp_send_t *request, int status)
{
	struct answer *answer = (struct answer *)(void *)request;
	struct bench_loop *loop = request->handle->data;
	struct libuv_state *s = loop->state;

	if (status < 0)
		loop->counters->n_failed++;
	bench_counters_add(loop->counters, 1);
	free(answer->buffer.base);
	free(answer);
	if (--s->left == 0)
		uv_stop(&s->uv);
}

static void on_recv(uv_udp_t *udp, ssize_t len, const uv_buf_t *buffer, const struct sockaddr *peer,
		    unsigned int flags)
{
	struct answer *answer = len >= 0 && peer ? malloc(sizeof(*answer)) : NULL;

	(void)flags;
	if (!answer) {
		free(buffer->base);
		return;
	}
	answer->buffer = uv_buf_init(buffer->base, (unsigned int)len);
	if (uv_udp_send(&answer->request, udp, &answer->buffer, 1, peer, on_sent) < 0) {
		free(buffer->base);
		free(answer);
	}
}

static int libuv_open(struct bench_loop *loop)
{
	struct libuv_state *s = calloc(1, sizeof(*s));
	int r;

	loop->state = s;
	if (!s)
		return -ENOMEM;
	r = uv_loop_init(&s->uv);
	if (r >= 0)
		r = uv_udp_init(&s->uv, &s->udp);
	s->udp.data = loop;
	if (r >= 0)
		r = uv_udp_open(&s->udp, loop->fd);
	if (r >= 0)
		r = uv_udp_recv_start(&s->udp, on_alloc, on_recv);
	return r;
}

static int libuv_run(struct bench_loop *loop, uint64_t n)
{
	struct libuv_state *s = loop->state;

	s->left = n;
	uv_run(&s->uv, UV_RUN_DEFAULT);
	return 0;
}

/* The descriptor is the caller's, so libuv's handle is not closed but forgotten with its loop. */
static void libuv_close(struct bench_loop *loop)
{
	struct libuv_state *s = loop->state;

	if (!s)
		return;
	uv_udp_recv_stop(&s->udp);
	free(s);
}

const struct bench_peer bench_peer_libuv = {
	.name = "libuv",
	.about = "libuv, uv_udp_recv_start and uv_udp_send",
	.version = uv_version_string,
	.open = libuv_open,
	.run = libuv_run,
	.close = libuv_close,
};
