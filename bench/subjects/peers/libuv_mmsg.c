/* SPDX-License-Identifier: MIT */

/*
 * libuv at its fastest: UV_UDP_RECVMMSG (20 datagrams per call into one big buffer) and
 * uv_udp_try_send, which sends at once and copies nothing.
 */

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <uv.h>

#include "peers.h"
#include "uv_loop.h"

/* libuv cuts the buffer into pieces of 64 KiB, 20 at most. */
#define N_BUFFER ((size_t)20 * 65536)

struct libuv_state {
	struct bench_uv_loop loop;
	char *buffer;
	uint32_t n_chunks; /* of the recvmmsg() whose datagrams are coming */
};

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
	struct bench_loop *loop = handle->data;
	struct libuv_state *s = loop->state;

	(void)suggested;
	*buffer = uv_buf_init(s->buffer, N_BUFFER);
}

static void on_recv(uv_udp_t *udp, ssize_t len, const uv_buf_t *buffer, const struct sockaddr *peer,
		    unsigned int flags)
{
	struct bench_loop *loop = udp->data;
	struct libuv_state *s = loop->state;
	uv_buf_t out;

	if ((flags & UV_UDP_MMSG_FREE) && s->n_chunks > 0) {
		bench_counters_add(loop->counters, s->n_chunks);
		s->n_chunks = 0;
	}
	if (len < 0 || peer == NULL)
		return;
	out = uv_buf_init(buffer->base, (unsigned int)len);
	if (uv_udp_try_send(udp, &out, 1, peer) < 0)
		loop->counters->n_failed++;
	s->n_chunks++;
	bench_uv_loop_count(&s->loop);
}

static int libuv_mmsg_open(struct bench_loop *loop)
{
	struct libuv_state *s = calloc(1, sizeof *s);

	loop->state = s;
	if (s == NULL)
		return -ENOMEM;
	s->buffer = malloc(N_BUFFER);
	if (s->buffer == NULL)
		return -ENOMEM;
	return bench_uv_loop_open(&s->loop, loop, AF_UNSPEC | UV_UDP_RECVMMSG, on_alloc, on_recv);
}

static int libuv_mmsg_run(struct bench_loop *loop, uint64_t n)
{
	struct libuv_state *s = loop->state;

	bench_uv_loop_run(&s->loop, n);
	return 0;
}

static void libuv_mmsg_close(struct bench_loop *loop)
{
	struct libuv_state *s = loop->state;

	if (s == NULL)
		return;
	uv_udp_recv_stop(&s->loop.udp);
	free(s->buffer);
	free(s);
}

const struct bench_peer bench_peer_libuv_mmsg = {
	.name = "libuv-mmsg",
	.about = "libuv, UV_UDP_RECVMMSG and uv_udp_try_send",
	.version = uv_version_string,
	.open = libuv_mmsg_open,
	.run = libuv_mmsg_run,
	.close = libuv_mmsg_close,
};
