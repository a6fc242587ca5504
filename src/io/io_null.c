/* SPDX-License-Identifier: MIT */

/*
 * Backend "null": the kernel replaced by memory, to measure what the library itself costs. Every
 * receive gives a full volley of 64-byte datagrams from as many clients as there are slots; every
 * send is accepted. Only in builds for benchmarks, never installed. Use it with the wait strategy
 * `spin`: there is no socket to wait for.
 */

#include <arpa/inet.h>
#include <errno.h>

#include "base/mem.h"
#include "io/io_ops.h"

enum { PAYLOAD_BYTES = 64, FIRST_PORT = 10000 };

struct io_null {
	struct vly_io io;
	struct vly_slots *slots;
};

static int io_null_open(struct vly_slots *slots, struct vly_io **ret_io)
{
	struct io_null *self = vly_mem_new(slots->allocator, 1, sizeof *self);

	if (self == NULL)
		return -ENOMEM;
	self->slots = slots;
	for (uint32_t i = 0; i < slots->n_slots; i++) {
		struct volley_addr *peer = &slots->slots[i].peer;

		peer->in.sin_family = AF_INET;
		peer->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		peer->in.sin_port = htons((uint16_t)(FIRST_PORT + i));
	}
	*ret_io = &self->io;
	return 0;
}

static int io_null_attach(struct vly_io *io, uint32_t sock_index, const struct vly_io_sock *sock)
{
	(void)io, (void)sock_index, (void)sock;
	return 0;
}

static void io_null_detach(struct vly_io *io, uint32_t sock_index)
{
	(void)io, (void)sock_index;
}

static int io_null_recv(struct vly_io *io, uint32_t sock_index, uint32_t n, bool wait)
{
	struct vly_slots *slots = ((struct io_null *)(void *)io)->slots;

	(void)sock_index, (void)wait;
	io->rx_syscalls++;
	for (uint32_t i = 0; i < n; i++) {
		struct vly_slot *slot = &slots->slots[i];

		slot->len = PAYLOAD_BYTES;
		slot->flags = 0;
		slot->segment_bytes = 0;
		slot->peer.len = sizeof slot->peer.in;
	}
	return (int)n;
}

static int io_null_send(struct vly_io *io, uint32_t sock_index, const struct vly_tx *tx,
			const uint16_t *heads, uint32_t n)
{
	(void)sock_index, (void)tx, (void)heads;
	io->tx_syscalls++;
	return (int)n;
}

static void io_null_close(struct vly_io *io)
{
	vly_mem_free(io);
}

const struct vly_io_ops vly_io_null_ops = {
	.name = "null",
	.open = io_null_open,
	.attach = io_null_attach,
	.detach = io_null_detach,
	.recv = io_null_recv,
	.send = io_null_send,
	.close = io_null_close,
};
