/* SPDX-License-Identifier: MIT */
#ifndef VOLLEY_SEND_H
#define VOLLEY_SEND_H

/**
 * @file send.h
 * Sending outside a packet callback: replies to held packets, later and from any thread, and
 * datagrams that are no reply. Both are counted as replies are: `tx_requested` and then `tx_sent`,
 * `tx_queued`, or a reason in `tx_dropped`.
 */

#include <stddef.h>
#include <stdint.h>

#include <volley/addr.h>
#include <volley/version.h>

#ifdef __cplusplus
extern "C" {
#endif

struct volley_packet;
struct volley_server;
struct volley_worker;

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

/**
 * Send a datagram that is no reply, from any thread.
 *
 * One worker sends it, chosen by the peer, with its next volley: datagrams of one thread to one
 * peer leave in order.
 *
 * @param server          a running server
 * @param listener_index  the listener whose socket sends: 0 or more
 * @param peer            where to; of the listener's family, or IPv4 on an IPv6 listener that takes
 *                        it
 * @param local           the address to leave from (its port is not looked at), or NULL for the
 *                        listener's, or the kernel's choice where that is a wildcard
 * @param data            payload, copied; NULL only when len is 0
 * @param len             0 to 65,507 bytes (65,527 over IPv6)
 * @return 0 when it is queued; -ESHUTDOWN when not running; -EINVAL for an unknown listener, a
 *         family that does not suit it, port 0 (counted as `refused`) or the listener's own address
 *         (the same; a listener on all addresses is each of this machine, loopback too); -EMSGSIZE;
 *         -ENOBUFS when as many wait already as the worker has room for (`no_buffer`): try again
 *         later
 * @threads  any, workers and handlers included; not from a signal handler
 * @blocks   for the moment in which another thread hands something to that worker
 */
VOLLEY_API int volley_server_send(struct volley_server *server, uint32_t listener_index,
				  const struct volley_addr *peer, const struct volley_addr *local,
				  const void *data, size_t len);

/**
 * The same by one worker, and on its own thread without a lock: in a packet callback (where it
 * leaves with the volley), a hook, a post, or a timer on the worker's event_base (where it leaves
 * before the worker waits again). What on_stop sends leaves at once, or is dropped as `stopped`.
 *
 * Elsewhere it leaves as well:
 * - with a loop of your own, between two turns: before that loop waits again (on an event_base), or
 *   with the next volley_server_process(), for which the descriptor is readable and the timeout 0;
 *   while another thread is in it: as volley_server_send(), and until the next one all others, too,
 *   so that what one thread sends to a peer leaves in order;
 * - in a handler's callback: with its replies and in line with them, once the callback has
 *   returned;
 * - on any other thread: as volley_server_send(), by this worker.
 *
 * @param worker  the one that the callback or hook was given
 * @return 0 when it is queued; -EINVAL, -EMSGSIZE and -ESHUTDOWN as volley_server_send(); -ENOBUFS
 *         (`no_buffer`) when there is no room for the copy: the worker's arena is used up, or in
 *         on_error more is being sent than fits; a handler has no buffer left until its callback
 *         returns (it has 2 * n_ring of up to 2,048 bytes, and 8 larger ones); on other threads as
 *         volley_server_send()
 * @threads  any; not from a signal handler; not once volley_server_free() was called
 * @blocks   never on the worker's thread; in a handler and elsewhere for the moment in which
 *           another thread hands something to this worker, also while another thread is in
 *           volley_server_process(): so callbacks of two servers may send by each other's worker
 */
VOLLEY_API int volley_worker_send(struct volley_worker *worker, uint32_t listener_index,
				  const struct volley_addr *peer, const struct volley_addr *local,
				  const void *data, size_t len);

#ifdef __cplusplus
}
#endif

#endif
