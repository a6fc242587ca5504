/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_PACKET_H
#define VLY_PATH_PACKET_H

/*
 * What is behind the words of a struct volley_packet that users do not look into, and the rules for
 * whom to reply to.
 *
 * `internal`: whether the packet was replied to already, whether a handler has it, whether `local`
 * is another address than the listener's, and the index of its slot (worker) or of its handler.
 * `reserved`: a handler's packet's buffer.
 */

#include <assert.h>
#include <string.h>

#include <volley/packet.h>

#include "data/buffers.h"
#include "path/listener.h"
#include "path/worker.h"
#include "sys/addr.h"

static_assert(sizeof(struct volley_packet) == 64, "the view is one cache line, frozen");

#define VLY_PACKET_REPLIED         0x80000000u
#define VLY_PACKET_HANDLED         0x40000000u
#define VLY_PACKET_LOCAL           0x20000000u
#define VLY_PACKET_INDEX(internal) ((internal)&0x1fffffffu)

/* Payload over IPv6; IPv4 takes 20 bytes less and the kernel says so. RFC 768, RFC 8200. */
enum { VLY_MAX_PAYLOAD = 65527 };

static inline struct vly_buffer *vly_packet_get_buffer(const struct volley_packet *packet)
{
	return (struct vly_buffer *)(uintptr_t)packet->reserved;
}

static inline void vly_packet_set_local(struct volley_packet *packet,
					const struct volley_addr *local)
{
	packet->local = local;
	packet->internal |= VLY_PACKET_LOCAL;
}

static inline const struct vly_cmsg_info *vly_packet_get_info(const struct volley_packet *packet)
{
	if (packet->internal & VLY_PACKET_HANDLED)
		return &vly_packet_get_buffer(packet)->info;
	return &packet->worker->intake.slots.infos[VLY_PACKET_INDEX(packet->internal)];
}

static_assert(offsetof(struct sockaddr_in, sin_port) == offsetof(struct sockaddr_in6, sin6_port),
	      "the port is read without asking for the family");

/*
 * Port 0 cannot be sent to, and a reply to ourselves would come back for ever. What is sent to all
 * addresses comes back, too: the kernel sends it to the one that it leaves from.
 */
static inline bool vly_packet_is_refused(const struct volley_addr *peer,
					 const struct volley_addr *local)
{
	if (peer->in.sin_port != local->in.sin_port)
		return peer->in.sin_port == 0;
	if (peer->in.sin_port == 0 || peer->sa.sa_family != local->sa.sa_family)
		return peer->in.sin_port == 0;
	return vly_addr_is_same_host(peer, local) || vly_addr_is_wildcard(peer);
}

/* The same for a packet, and all that is ours beside: a reply would find no end. */
static inline bool vly_packet_has_bad_peer(const struct volley_packet *packet)
{
	struct vly_own *own = &packet->worker->shared->own;

	return vly_own_has_number(own, packet->peer->in.sin_port) &&
	       (vly_packet_is_refused(packet->peer, packet->local) ||
		vly_own_has(own, packet->peer));
}

/* The socket by which the packet came, and its reply leaves. */
static inline struct vly_sock *vly_packet_get_sock(const struct volley_packet *packet)
{
	if (packet->internal & VLY_PACKET_HANDLED)
		return vly_packet_get_buffer(packet)->sock;
	return packet->worker->intake.sock;
}

static inline const struct vly_listener *vly_packet_get_listener(const struct volley_packet *packet)
{
	return vly_packet_get_sock(packet)->listener;
}

/* The index of the socket whose volley the worker shows to its callback. */
static inline uint32_t vly_packet_get_sock_index(const struct volley_worker *worker)
{
	return worker->intake.sock_index;
}

/* Note where a reply to the packet leaves from, for a time when the packet is gone. */
static inline void vly_packet_keep(const struct volley_packet *packet, struct vly_buffer *buffer)
{
	buffer->peer = *packet->peer;
	buffer->sock = vly_packet_get_sock(packet);
	if (packet->internal & VLY_PACKET_LOCAL)
		vly_buffer_set_way(buffer, VLY_CMSG_HEADER_LOCAL, packet->local,
				   vly_packet_get_info(packet)->reply_ifindex);
	else
		vly_buffer_set_way(buffer, 0, NULL, 0);
}

#endif
