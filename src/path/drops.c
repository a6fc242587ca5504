/* SPDX-License-Identifier: MIT */

/* SO_MEMINFO's counter, extended. It wraps at 2^32, and so do the differences taken of it. */

#include "path/drops.h"
#include "sys/socket.h"

void vly_drops_begin(struct vly_drops *drops, int fd, bool used)
{
	struct vly_socket_meminfo info = { .drops = 0 };

	if (used)
		vly_socket_get_meminfo(fd, &info);
	*drops = (struct vly_drops){ .seen = info.drops, .first = info.drops };
}

uint32_t vly_drops_read(struct vly_drops *drops, int fd)
{
	struct vly_socket_meminfo info;

	if (vly_socket_get_meminfo(fd, &info) < 0)
		return 0;
	drops->total += info.drops - drops->seen;
	drops->seen = info.drops;
	return info.rmem_bytes;
}

uint32_t vly_drops_get_seen(const struct vly_drops *drops)
{
	return drops->seen;
}

uint64_t vly_drops_get_total(const struct vly_drops *drops)
{
	return drops->total;
}

void vly_drops_forget(struct vly_drops *drops, uint32_t kernel_count)
{
	drops->total -= (uint32_t)(kernel_count - drops->first);
}
