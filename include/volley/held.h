/* SPDX-License-Identifier: MIT */
#ifndef VOLLEY_HELD_H
#define VOLLEY_HELD_H

/**
 * @file held.h
 * Packets that are kept beyond their callback, to be replied to later and from any thread. Counted
 * as replies are: `tx_requested` and then `tx_sent`, `tx_queued`, or a reason in `tx_dropped`.
 */

#include <stddef.h>
#include <stdint.h>

#include <volley/version.h>

#ifdef __cplusplus
extern "C" {
#endif

struct volley_packet;
struct volley_send_options;
struct volley_server;

/**
 * The token of a held packet: copy it, keep it, hand it to other threads. Using it up makes it
 * stale, and so do the end of its time and the stop of its worker; a stale token gives -ESTALE and
 * never reaches another packet (until 2^32 packets were held in the same place). All zero is no
 * token.
 */
struct volley_held {
	uint64_t id;
};

/**
 * Keep a packet beyond the callback, to reply to it or to release it later.
 *
 * The payload is copied and can be read back with volley_held_get_payload(). The packet may be
 * replied to in the callback as well. It is yours until volley_held_reply(), volley_held_release(),
 * the end of config.hold_us (counted as `held_expired`), or the stop of the worker
 * (`held_abandoned`); a drain waits for held packets as long as it may take.
 *
 * @param packet    a packet of the running callback
 * @param ret_held  the token; untouched on failure
 * @return 0; -ENOBUFS when the worker holds config.n_held packets already or has no room for the
 *         payload, counted as `held_refused`; -ESRCH in a child
 * @threads  the callback's: a worker's or a handler's
 * @blocks   for the moment in which another thread hands something to this worker
 */
VOLLEY_API int volley_packet_hold(struct volley_packet *packet, struct volley_held *ret_held);

/**
 * Reply to a held packet. The reply leaves with the worker's next volley, from the address that the
 * packet was sent to. Uses the token up, unless it fails with -EMSGSIZE or -ENOBUFS.
 *
 * @param server  the server that the packet came from
 * @param held    its token
 * @param data    payload, copied; NULL only when len is 0
 * @param len     0 to 65,507 bytes (65,527 over IPv6)
 * @return 0 when it is queued; -ESTALE; -EINVAL (counted as `refused`) for a peer that must not be
 *         replied to, see volley_packet_reply(); -EMSGSIZE; -ENOBUFS when no room was left
 *         (`no_buffer`)
 * @threads  any; not from a signal handler; not once volley_server_free() was called
 * @blocks   for the moment in which another thread hands something to this worker
 */
VOLLEY_API int volley_held_reply(struct volley_server *server, struct volley_held held,
				 const void *data, size_t len);

/**
 * The same with a TOS byte, a TTL, an interface or an address of its own (volley/send.h).
 *
 * @param server   the server that the packet came from
 * @param held     its token; used up unless this fails with -EMSGSIZE, -ENOBUFS or -EAGAIN, or for
 *                 its options
 * @param data     payload, copied; NULL only when len is 0
 * @param len      0 to 65,507 bytes (65,527 over IPv6)
 * @param options  how it leaves, or NULL
 * @return as volley_held_reply(); -EINVAL (counted as `refused`) for options out of range or an
 *         address that the listener cannot send from; -EAGAIN with VOLLEY_SEND_IF_ROOM while the
 *         socket's line is not empty, counted nowhere
 * @threads  as volley_held_reply()
 * @blocks   as volley_held_reply()
 */
VOLLEY_API int volley_held_reply_with(struct volley_server *server, struct volley_held held,
				      const void *data, size_t len,
				      const struct volley_send_options *options);

/**
 * Give up a held packet without a reply. Uses the token up.
 *
 * @return 0 or -ESTALE
 * @threads  as volley_held_reply()
 * @blocks   as volley_held_reply()
 */
VOLLEY_API int volley_held_release(struct volley_server *server, struct volley_held held);

/**
 * Copy a held packet's payload.
 *
 * @param data  room for it, or NULL
 * @param n     bytes of that room; what does not fit is cut
 * @return the payload's whole length, or -ESTALE
 * @threads  as volley_held_reply()
 * @blocks   as volley_held_reply()
 */
VOLLEY_API int volley_held_get_payload(struct volley_server *server, struct volley_held held,
				       void *data, size_t n);

#ifdef __cplusplus
}
#endif

#endif
