/* SPDX-License-Identifier: MIT */

/*
 * The backend table: which backends this build has, in order of preference, and how one is chosen:
 * the first of which the system refuses nothing. The null backend is in builds for benchmarks only,
 * which are never installed.
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

static bool matches(const struct vly_io_ops *ops, const char *name)
{
	return is_auto(name) || strcmp(ops->name, name) == 0;
}

/* The first call that it needs and the system refuses, or VLY_PROBE_N. */
static enum vly_probe_call find_refused(const struct vly_io_ops *ops, const struct vly_probe *probe)
{
	int call = 0;

	while (call < VLY_PROBE_N && ((ops->needs >> call & 1) == 0 || probe->errors[call] >= 0))
		call++;
	return (enum vly_probe_call)call;
}

const char *vly_io_pick(const char *name, const struct vly_probe *probe,
			enum vly_probe_call *ret_refused)
{
	enum vly_probe_call refused = VLY_PROBE_N;

	for (size_t i = 0; i < VLY_ARRAY_SIZE(backends); i++) {
		enum vly_probe_call call = find_refused(backends[i], probe);

		if (!matches(backends[i], name))
			continue;
		if (refused == VLY_PROBE_N)
			refused = call;
		if (call == VLY_PROBE_N) {
			*ret_refused = refused;
			return backends[i]->name;
		}
	}
	*ret_refused = refused;
	return NULL;
}

int vly_io_open(const char *name, struct vly_slots *slots, struct vly_io **ret_io)
{
	size_t i = 0;
	int r;

	while (i < VLY_ARRAY_SIZE(backends) && !matches(backends[i], name))
		i++;
	if (i == VLY_ARRAY_SIZE(backends))
		return -EINVAL;
	r = backends[i]->open(slots, ret_io);
	if (r >= 0)
		(*ret_io)->ops = backends[i];
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
