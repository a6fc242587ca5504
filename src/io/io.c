/* SPDX-License-Identifier: MIT */

/*
 * The backend table: which backends this build has, in order of preference, and how one is chosen.
 * The null backend is in builds for benchmarks only, which are never installed.
 */

#include "io/io.h"

#include <errno.h>
#include <string.h>

#include "base/compiler.h"
#include "io/io_ops.h"

static const struct vly_io_ops *const backends[] = {
	&vly_io_mmsg_ops,
	&vly_io_msg_ops,
#ifdef VLY_IO_NULL
	&vly_io_null_ops,
#endif
};

static bool is_auto(const char *name)
{
	return name == NULL || strcmp(name, "auto") == 0;
}

bool vly_io_is_name(const char *name)
{
	if (is_auto(name))
		return true;
	for (size_t i = 0; i < VLY_ARRAY_SIZE(backends); i++)
		if (strcmp(backends[i]->name, name) == 0)
			return true;
	return false;
}

/* "auto" takes the first backend that opens; a backend that this kernel cannot run says -ENOSYS. */
int vly_io_open(const char *name, struct vly_slots *slots, struct vly_io **ret_io)
{
	int r = -EINVAL;

	for (size_t i = 0; i < VLY_ARRAY_SIZE(backends); i++) {
		if (!is_auto(name) && strcmp(backends[i]->name, name) != 0)
			continue;
		r = backends[i]->open(slots, ret_io);
		if (r >= 0)
			(*ret_io)->ops = backends[i];
		if (r != -ENOSYS)
			break;
	}
	return r;
}

void vly_io_close(struct vly_io *io)
{
	if (io != NULL)
		io->ops->close(io);
}

const char *vly_io_get_name(const struct vly_io *io)
{
	return io->ops->name;
}

uint64_t vly_io_get_rx_syscalls(const struct vly_io *io)
{
	return io->rx_syscalls;
}

uint64_t vly_io_get_tx_syscalls(const struct vly_io *io)
{
	return io->tx_syscalls;
}

int vly_io_attach(struct vly_io *io, uint32_t sock_index, const struct vly_io_sock *sock)
{
	return io->ops->attach(io, sock_index, sock);
}

void vly_io_detach(struct vly_io *io, uint32_t sock_index)
{
	io->ops->detach(io, sock_index);
}

int vly_io_recv(struct vly_io *io, uint32_t sock_index, uint32_t n, bool wait)
{
	return io->ops->recv(io, sock_index, n, wait);
}

int vly_io_send(struct vly_io *io, uint32_t sock_index, const struct vly_tx *tx,
		const uint16_t *heads, uint32_t n)
{
	return io->ops->send(io, sock_index, tx, heads, n);
}
