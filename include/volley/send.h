/* SPDX-License-Identifier: MIT */
#ifndef VOLLEY_SEND_H
#define VOLLEY_SEND_H

/**
 * @file send.h
 * Sending what is no reply, counted as replies are: `tx_requested` and then `tx_sent`, `tx_queued`,
 * or a reason in `tx_dropped`.
 */

#include <stddef.h>
#include <stdint.h>

#include <volley/addr.h>
#include <volley/listener.h>
#include <volley/version.h>

#ifdef __cplusplus
extern "C" {
#endif

struct volley_server;
struct volley_worker;

/**
 * Send a datagram that is no reply, from any thread.
 *
 * One worker sends it, chosen by the peer, with its next volley: datagrams of one thread to one
 * peer leave in order.
 *
 * @param server    a running server
 * @param listener  the listener whose socket sends
 * @param peer      where to; of the listener's family, or IPv4 on an IPv6 listener that takes it
 * @param local     the address to leave from (its port is not looked at), or NULL for the
 *                  listener's, or the kernel's choice where that is a wildcard
 * @param data      payload, copied; NULL only when len is 0
 * @param len       0 to 65,507 bytes (65,527 over IPv6)
 * @return 0 when it is queued; -ESHUTDOWN when not running; -ESTALE when the listener is closed;
 *         -EINVAL for a family that does not suit it, port 0 (counted as `refused`) or the
 *         listener's own address (the same; a listener on all addresses is each of this machine,
 *         loopback too); -EMSGSIZE; -ENOBUFS when as many wait already as the worker has room for
 *         (`no_buffer`): try again later
 * @threads  any, workers and handlers included; not from a signal handler
 * @blocks   for the moment in which another thread hands something to that worker
 */
VOLLEY_API int volley_server_send(struct volley_server *server, struct volley_listener listener,
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
 * @return 0 when it is queued; -EINVAL, -EMSGSIZE and -ESHUTDOWN as volley_server_send(); -ESTALE
 *         also for a listener of which this worker has no socket; -ENOBUFS (`no_buffer`) when there
 *         is no room for the copy: the worker's arena is used up, or in on_error more is being sent
 *         than fits; a handler has no buffer left until its callback returns (it has 2 * n_ring of
 *         up to 2,048 bytes, and 8 larger ones); on other threads as volley_server_send()
 * @threads  any; not from a signal handler; not once volley_server_free() was called
 * @blocks   never on the worker's thread; in a handler and elsewhere for the moment in which
 *           another thread hands something to this worker, also while another thread is in
 *           volley_server_process(): so callbacks of two servers may send by each other's worker
 */
VOLLEY_API int volley_worker_send(struct volley_worker *worker, struct volley_listener listener,
				  const struct volley_addr *peer, const struct volley_addr *local,
				  const void *data, size_t len);

#ifdef __cplusplus
}
#endif

#endif
