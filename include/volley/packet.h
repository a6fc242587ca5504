/* SPDX-License-Identifier: MIT */
#ifndef VOLLEY_PACKET_H
#define VOLLEY_PACKET_H

/**
 * @file packet.h
 * A received datagram, and how to reply to it. Everything here is for the thread that runs the
 * packet callback (a worker's, or a handler's with config.n_handlers), inside the callback.
 */

#include <stddef.h>
#include <stdint.h>

#include <volley/addr.h>
#include <volley/listener.h>
#include <volley/version.h>

#ifdef __cplusplus
extern "C" {
#endif

struct volley_send_options;
struct volley_worker;

/** volley_packet.flags */
#define VOLLEY_PACKET_TRUNCATED (1u << 0) /* longer than max_datagram_bytes; the rest is gone */
#define VOLLEY_PACKET_MULTICAST (1u << 1) /* sent to a group: volley_packet_get_destination() */
#define VOLLEY_PACKET_BROADCAST (1u << 2) /* sent to everybody on a link (IPv4) */

/**
 * A view of one datagram: 64 bytes, frozen. You may write to data[0] .. data[capacity - 1] and to
 * no other field.
 */
struct volley_packet {
	/** The payload. */
	uint8_t *data;
	/** Its length, 0 to 65,535. */
	uint32_t len;
	/** Room for a reply in place, at least `len`. */
	uint32_t capacity;
	/** Who sent it. */
	const struct volley_addr *peer;
	/**
	 * Where a reply leaves from, with the listener's port: the address that the datagram was
	 * sent to, or, where that was a group or a broadcast, an address of this machine on the
	 * link that it came by. A wildcard or a group's address here means that the kernel chooses.
	 */
	const struct volley_addr *local;
	/** Through which it came. */
	struct volley_listener listener;
	struct volley_worker *worker;
	/** VOLLEY_PACKET_* */
	uint32_t flags;
	/** volley's own. */
	uint32_t internal;
	uint64_t reserved;
};

/**
 * Reply to a packet. The reply leaves with the volley, after the callback has returned.
 *
 * When `data` lies in the packet's own [data, data + capacity) and it is the first reply to this
 * packet, nothing is copied and you leave those bytes alone until the callback returns. Memory from
 * volley_packet_reply_buffer() is not copied either. Anything else is copied at once. Any number of
 * replies to one packet is fine; they leave in order.
 *
 * A failed reply is counted in `tx_dropped` under the reason that is returned.
 *
 * @param packet  a packet of the running callback
 * @param data    payload; NULL only when len is 0
 * @param len     0 to 65,507 bytes (65,527 over IPv6); a longer one is -EMSGSIZE
 * @return 0 when it is queued; -EMSGSIZE; -ENOBUFS when no room was left for the copy; -EINVAL
 *         (counted as `refused`) for a peer whose port is 0, which cannot be sent to, or that is an
 *         address and port of this server's (a forged source): it would loop. For a listener on all
 *         addresses these are loopback and those of the interfaces, as rtnetlink(7) tells. The same
 *         for `data` NULL with a `len`
 * @threads  the callback's, inside it
 * @blocks   never
 */
VOLLEY_API int volley_packet_reply(struct volley_packet *packet, const void *data, size_t len);

/**
 * The same with a TOS byte, a TTL, an interface or an address of its own (volley/send.h). A reply
 * with an interface or an address is copied, wherever `data` lies.
 *
 * @param packet   a packet of the running callback
 * @param data     payload; NULL only when len is 0
 * @param len      0 to 65,507 bytes (65,527 over IPv6)
 * @param options  how it leaves, or NULL
 * @return as volley_packet_reply(); -EINVAL (counted as `refused`) for options out of range or an
 *         address that the listener cannot send from; -EAGAIN with VOLLEY_SEND_IF_ROOM while the
 *         socket's line is not empty, counted nowhere
 * @threads  the callback's, inside it
 * @blocks   never
 */
VOLLEY_API int volley_packet_reply_with(struct volley_packet *packet, const void *data, size_t len,
					const struct volley_send_options *options);

/**
 * Room to write a reply into, for volley_packet_reply() to send without a copy. What the rooms of
 * one callback take is free again only when it has returned, replied from or not; so where one
 * callback's replies are more than config.arena_bytes, prepare them in memory of your own.
 *
 * @param packet        a packet of the running callback
 * @param need          bytes wanted, 1 to 65,527
 * @param ret_capacity  bytes given, at least `need`; may be NULL
 * @return the room, valid until the callback returns, and from the first reply out of it on as far
 *         as that reply reaches: the rest is given back; NULL when the arena is used up
 * @threads  the callback's, inside it
 * @blocks   never
 */
VOLLEY_API void *volley_packet_reply_buffer(struct volley_packet *packet, size_t need,
					    size_t *ret_capacity);

/**
 * The address that the datagram was sent to, with the listener's port. It differs from
 * `packet->local` where VOLLEY_PACKET_MULTICAST or VOLLEY_PACKET_BROADCAST is set. No listener has
 * to ask for it. With VOLLEY_LISTEN_TRANSPARENT the port is the one that it was sent to.
 *
 * @param packet           a packet of the running callback
 * @param ret_destination  the address; of an IPv6 group of one link with its interface as scope
 * @return 0, or -ENODATA where the kernel did not tell
 * @threads  the callback's, inside it
 * @blocks   never
 * @kernel   IP_PKTINFO (ipi_addr), IPV6_RECVPKTINFO, IP_RECVORIGDSTADDR, IPV6_RECVORIGDSTADDR
 */
VOLLEY_API int volley_packet_get_destination(const struct volley_packet *packet,
					     struct volley_addr *ret_destination);

/**
 * The handler whose thread the callback runs on, for data that each handler has of its own.
 *
 * @return 0 to n_handlers - 1, or -ENODATA on a worker's thread
 * @threads  inside the callback
 * @blocks   never
 */
VOLLEY_API int volley_packet_get_handler(const struct volley_packet *packet);

/**
 * The TTL or hop limit the datagram arrived with.
 *
 * @return 0 to 255, or -ENODATA without VOLLEY_LISTEN_WANT_TTL
 * @threads  the callback's, inside it
 * @blocks   never
 * @kernel   IP_RECVTTL, IPV6_RECVHOPLIMIT
 */
VOLLEY_API int volley_packet_get_ttl(const struct volley_packet *packet);

/**
 * The TOS byte or traffic class the datagram arrived with, ECN bits included.
 *
 * @return 0 to 255, or -ENODATA without VOLLEY_LISTEN_WANT_TOS
 * @threads  the callback's, inside it
 * @blocks   never
 * @kernel   IP_RECVTOS, IPV6_RECVTCLASS
 */
VOLLEY_API int volley_packet_get_tos(const struct volley_packet *packet);

/**
 * The index of the interface the datagram arrived on.
 *
 * @return 1 or more, or -ENODATA without VOLLEY_LISTEN_WANT_INTERFACE
 * @threads  the callback's, inside it
 * @blocks   never
 * @kernel   IP_PKTINFO, IPV6_RECVPKTINFO
 */
VOLLEY_API int volley_packet_get_interface(const struct volley_packet *packet);

/**
 * When the kernel received the datagram.
 *
 * @return nanoseconds of CLOCK_REALTIME, or -ENODATA without VOLLEY_LISTEN_WANT_TIMESTAMP
 * @threads  the callback's, inside it
 * @blocks   never
 * @kernel   SO_TIMESTAMPNS
 */
VOLLEY_API int64_t volley_packet_get_timestamp(const struct volley_packet *packet);

#ifdef __cplusplus
}
#endif

#endif
