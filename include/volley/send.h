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

/** volley_send_options.flags */
#define VOLLEY_SEND_TOS     (1u << 0) /* `tos` counts */
#define VOLLEY_SEND_TTL     (1u << 1) /* `ttl` counts */
#define VOLLEY_SEND_IF_ROOM (1u << 2) /* -EAGAIN, counted nowhere, while others wait */

/**
 * How one datagram leaves, where that is not as its listener's datagrams do. Copied; it stays with
 * the datagram while that waits, and only datagrams that agree in all of it leave in company
 * (UDP_SEGMENT). NULL in place of it is all zero.
 */
struct volley_send_options {
	/** sizeof(struct volley_send_options); VOLLEY_SEND() fills it. */
	size_t size;
	/** VOLLEY_SEND_* */
	uint32_t flags;
	/**
	 * The TOS byte or traffic class, ECN bits included, 0 to 255 (IP_TOS, IPV6_TCLASS). A peer
	 * that is IPv4 on an IPv6 listener gets the TOS byte.
	 */
	uint32_t tos;
	/** The TTL or hop limit, 0 to 255; IPv4 has no 0 (IP_TTL, IPV6_HOPLIMIT). */
	uint32_t ttl;
	/** The interface to leave by; 0: as the routing table says (IP_PKTINFO, IPV6_PKTINFO). */
	uint32_t interface_index;
	/**
	 * The address to leave from (its port is not looked at). NULL: for a reply the one that the
	 * request was sent to; else the listener's, or the kernel's choice where that is a
	 * wildcard.
	 */
	const struct volley_addr *local;
};

#ifndef __cplusplus
/** Send options as a compound literal: VOLLEY_SEND(.flags = VOLLEY_SEND_TOS, .tos = 1). */
#define VOLLEY_SEND(...)                                                                  \
	(&(const struct volley_send_options){ .size = sizeof(struct volley_send_options), \
					      __VA_ARGS__ })
#endif

/**
 * Zero send options and set their size; for C++ and other languages.
 *
 * @param options  the struct
 * @param size     sizeof *options
 * @threads  any
 * @blocks   never
 */
VOLLEY_API void volley_send_options_init(struct volley_send_options *options, size_t size);

/**
 * Send a datagram that is no reply, from any thread.
 *
 * One worker sends it, chosen by the peer, with its next volley: datagrams of one thread to one
 * peer leave in order.
 *
 * @param server    a running server
 * @param listener  the listener whose socket sends
 * @param peer      where to; of the listener's family, or IPv4 on an IPv6 listener that takes it
 * @param data      payload, copied; NULL only when len is 0
 * @param len       0 to 65,507 bytes (65,527 over IPv6)
 * @param options   how it leaves, or NULL
 * @return 0 when it is queued; -ESHUTDOWN when not running; -ESTALE when the listener is closed;
 *         -EINVAL for a family that does not suit it, options out of range, port 0 (counted as
 *         `refused`) or the listener's own address (the same; a listener on all addresses is each
 *         of this machine, loopback too); -EMSGSIZE; -ENOBUFS when as many wait already as the
 *         worker has room for (`no_buffer`): try again later; -EAGAIN with VOLLEY_SEND_IF_ROOM
 *         while the socket's line is not empty
 * @threads  any, workers and handlers included; not from a signal handler
 * @blocks   for the moment in which another thread hands something to that worker
 */
VOLLEY_API int volley_server_send(struct volley_server *server, struct volley_listener listener,
				  const struct volley_addr *peer, const void *data, size_t len,
				  const struct volley_send_options *options);

/**
 * The same by one worker, and on its own thread without a lock: in a packet callback (where it
 * leaves with the volley), a hook, a post, a timer, or an event on the worker's event_base (where
 * it leaves before the worker waits again). What on_stop sends leaves at once, or is dropped as
 * `stopped`.
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
 * @return 0 when it is queued; -EINVAL, -EMSGSIZE, -ESHUTDOWN and -EAGAIN as volley_server_send();
 *         -ESTALE also for a listener of which this worker has no socket; -ENOBUFS (`no_buffer`)
 *         when there is no room for the copy: the worker's arena is used up, or in on_error more is
 *         being sent than fits; a handler has no buffer left until its callback returns (it has 2 *
 *         n_ring of up to 2,048 bytes, and 8 larger ones); on other threads as volley_server_send()
 * @threads  any; not from a signal handler; not once volley_server_free() was called
 * @blocks   never on the worker's thread; in a handler and elsewhere for the moment in which
 *           another thread hands something to this worker, also while another thread is in
 *           volley_server_process(): so callbacks of two servers may send by each other's worker
 */
VOLLEY_API int volley_worker_send(struct volley_worker *worker, struct volley_listener listener,
				  const struct volley_addr *peer, const void *data, size_t len,
				  const struct volley_send_options *options);

/**
 * Room to write a payload into: what is sent out of it by volley_worker_send() or
 * volley_worker_send_many() is not copied.
 *
 * It begins where the room does, or anywhere in it, and may be shorter. The room is yours until the
 * callback, hook, post or timer returns, or until it is sent; what is written into it after that
 * may leave, too. It is never given to anybody else before: where the worker's arena has no more,
 * this is NULL. In an event on the worker's event_base it is yours until the event's function
 * returns.
 *
 * @param worker        the one that the callback or hook was given
 * @param need          1 to 65,527 bytes
 * @param ret_capacity  how large the room is, `need` or a little more; untouched on failure; may be
 *                      NULL
 * @return the room, aligned to 16 bytes; NULL when there is none, for a `need` out of range, and
 *         elsewhere than on the worker's thread, which the log says
 * @threads  the worker's, in callbacks (not those of handlers), hooks, posts, timers and events on
 *           its event_base
 * @blocks   never
 */
VOLLEY_API void *volley_worker_send_buffer(struct volley_worker *worker, size_t need,
					   size_t *ret_capacity);

/** What volley_worker_send_many() sends. */
struct volley_payload {
	/** The bytes, which are copied; NULL only when len is 0. */
	const void *data;
	/** 0 to 65,507 bytes (65,527 over IPv6). */
	size_t len;
};

/**
 * Send the same to many, as volley_worker_send() would to one after the other; but it is copied
 * once, or not at all out of a room of volley_worker_send_buffer(), and stays until all have left.
 *
 * Each of them is one `tx_requested`. Those that are not queued are counted as dropped, each under
 * its own name: `refused` for a peer that the listener does not send to (a family or options that
 * do not suit it, port 0, the listener's own address), `emsgsize`, and `no_buffer` where the arena
 * has no room for its address.
 *
 * @param worker    the one that the callback or hook was given
 * @param listener  the listener whose socket sends
 * @param peers     where to, n_peers of them; copied
 * @param n_peers   0 to 2,147,483,647
 * @param payload   what
 * @param options   how they leave, or NULL
 * @return how many were queued, 0 to n_peers. None of them, and none counted: -EINVAL for options
 *         out of range and for what is missing; -ESTALE when the listener is closed or this worker
 *         has no socket of it; -EAGAIN with VOLLEY_SEND_IF_ROOM while the socket's line is not
 *         empty; -EPERM elsewhere than on the worker's thread, which the log says
 * @threads  the worker's, as volley_worker_send_buffer()
 * @blocks   never
 */
VOLLEY_API int volley_worker_send_many(struct volley_worker *worker,
				       struct volley_listener listener,
				       const struct volley_addr *peers, uint32_t n_peers,
				       const struct volley_payload *payload,
				       const struct volley_send_options *options);

/**
 * How many datagrams of a listener wait for room in this worker's full sockets: replies and sends,
 * as far as they are the worker's by now. What the callback that asks has made is not among them
 * yet.
 *
 * Whoever was told that some wait, by a number here or by -EAGAIN with VOLLEY_SEND_IF_ROOM, on
 * whatever thread, hears when they do no more: the listener's on_writable is called, on the thread
 * of the worker whose socket it is, between two volleys. It is called once for a line, however many
 * were told, when the last one has left or its time was over (`backlog_us`), and not for lines that
 * nobody was told of. A worker that has several sockets of a listener has a line for each. Once a
 * stop has begun or the listener is closed it is not called any more.
 *
 * @param worker    the one that the callback or hook was given
 * @param listener  a listener
 * @return 0 or more; -ESTALE when the listener is closed or this worker has no socket of it; -EPERM
 *         elsewhere than on the worker's thread, which the log says; -EINVAL
 * @threads  the worker's, as volley_worker_send_buffer()
 * @blocks   never
 */
VOLLEY_API int volley_worker_get_tx_queued(struct volley_worker *worker,
					   struct volley_listener listener);

#ifdef __cplusplus
}
#endif

#endif
