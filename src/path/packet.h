/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_PACKET_H
#define VLY_PATH_PACKET_H

/*
 * What is behind the words of a struct volley_packet that users do not look into, and the rules
 * for whom to answer.
 *
 * `internal`: whether the packet was answered already, whether a handler has it, and the index of
 * its slot (worker) or of its handler. `reserved`: a handler's packet's buffer.
 */

#include <assert.h>
#include <string.h>

#include <volley/packet.h>

#include "path/worker.h"

static_assert(sizeof(struct volley_packet) == 64, "the view is one cache line, frozen");

#define VLY_PACKET_ANSWERED        0x80000000u
#define VLY_PACKET_HANDLED         0x40000000u
#define VLY_PACKET_INDEX(internal) ((internal) & ~(VLY_PACKET_ANSWERED | VLY_PACKET_HANDLED))

/* Payload over IPv6; IPv4 takes 20 bytes less and the kernel says so. RFC 768, RFC 8200. */
enum { VLY_MAX_PAYLOAD = 65527 };

static inline struct vly_buffer *vly_packet_get_buffer(const struct volley_packet *packet)
{
	return (struct vly_buffer *)(uintptr_t)packet->reserved;
}

static inline const struct vly_cmsg_info *vly_packet_get_info(const struct volley_packet *packet)
{
	if (packet->internal & VLY_PACKET_HANDLED)
		return &vly_packet_get_buffer(packet)->info;
	return &packet->worker->slots.infos[VLY_PACKET_INDEX(packet->internal)];
}

static_assert(offsetof(struct sockaddr_in, sin_port) == offsetof(struct sockaddr_in6, sin6_port),
	      "the port is read without asking for the family");

/* Port 0 cannot be sent to, and an answer to ourselves would come back for ever. */
static inline bool vly_packet_is_refused(const struct volley_addr *peer,
					 const struct volley_addr *local)
{
	if (peer->in.sin_port != local->in.sin_port)
		return peer->in.sin_port == 0;
	if (peer->in.sin_port == 0 || peer->sa.sa_family != local->sa.sa_family)
		return peer->in.sin_port == 0;
	if (peer->sa.sa_family == AF_INET)
		return peer->in.sin_addr.s_addr == local->in.sin_addr.s_addr;
	return memcmp(&peer->in6.sin6_addr, &local->in6.sin6_addr, 16) == 0;
}

/* Note where an answer to the packet leaves from, for a time when the packet is gone. */
static inline void vly_packet_keep(const struct volley_packet *packet, struct vly_buffer *buffer)
{
	buffer->peer = *packet->peer;
	buffer->listener = (uint16_t)packet->listener->index;
	buffer->info.local.len = 0;
	if (packet->local != &packet->listener->addr) {
		buffer->info.local = *packet->local;
		buffer->info.ifindex = vly_packet_get_info(packet)->ifindex;
	}
}

#endif
