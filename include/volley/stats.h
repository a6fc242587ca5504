/* SPDX-License-Identifier: MIT */
#ifndef VOLLEY_STATS_H
#define VOLLEY_STATS_H

/**
 * @file stats.h
 * The ledger: where every datagram went. docs/accounting.md explains each name and each equation.
 */

#include <stddef.h>
#include <stdint.h>

#include <volley/listener.h>
#include <volley/version.h>

#ifdef __cplusplus
extern "C" {
#endif

struct volley_server;

/**
 * Why a received datagram was not delivered: the places of `rx_dropped`, which has room for names
 * to come. Only appended to, so VOLLEY_RX_N_DROPS is what this header knows; volley_rx_drop_name()
 * has those of the library that is loaded.
 */
enum volley_rx_drop {
	VOLLEY_RX_TRUNCATED = 0, /* longer than max_datagram_bytes */
	VOLLEY_RX_CTRUNC,        /* its control messages did not fit */
	VOLLEY_RX_RING_FULL,     /* its handler's ring was full */
	VOLLEY_RX_POOL_FULL,     /* no packet buffer was left for it */
	VOLLEY_RX_BAD_SOURCE,    /* it came from no usable address */
	VOLLEY_RX_EXPIRED,       /* it waited longer than max_age_us for its handler */
	VOLLEY_RX_STOPPED,       /* the worker stopped before it was shown */
	VOLLEY_RX_COPY,          /* another socket of the listener has the same broadcast */
	VOLLEY_RX_N_DROPS
};

/** Why a requested send did not happen: the places of `tx_dropped`. Only appended to, likewise. */
enum volley_tx_drop {
	VOLLEY_TX_EPERM = 0,
	VOLLEY_TX_EMSGSIZE,
	VOLLEY_TX_ENETUNREACH, /* no route; or the link is gone or down, or has no address */
	VOLLEY_TX_EHOSTUNREACH,
	VOLLEY_TX_EACCES,
	VOLLEY_TX_EINVAL,
	VOLLEY_TX_EOTHER,       /* any other errno */
	VOLLEY_TX_REFUSED,      /* port 0, or an address and port of our own */
	VOLLEY_TX_NO_BUFFER,    /* no room for the copy */
	VOLLEY_TX_BACKLOG_FULL, /* the socket was full and so was its backlog */
	VOLLEY_TX_TIMEOUT,      /* it waited longer than backlog_us */
	VOLLEY_TX_STOPPED,      /* the worker stopped, or the listener closed, while it waited */
	VOLLEY_TX_N_DROPS
};

/**
 * Counters since the server was made, read as of one instant between two volleys of each worker.
 * Datagrams unless said otherwise. Always true, per worker and in total:
 *
 *     rx_datagrams = delivered + sum(rx_dropped) + rx_queued
 *     held_taken   = held_replied + held_released + held_expired + held_abandoned + held_now
 *     tx_requested = tx_sent + sum(tx_dropped) + tx_queued
 *
 * and against the kernel, per socket and in messages:
 *
 *     enqueued by the kernel = rx_messages + discarded_at_close + unread
 *
 * where neither side has the volley that a worker is just serving (n_batch messages at most), nor
 * what it is just counting when it closes a socket.
 *
 * The struct grows at its end, and each function that fills one writes as many bytes as the caller
 * says that it has. An older program gets what it knows. A newer one gets zero for counters that
 * this library lacks, which is how often they counted, and not what stood in its memory. The sums
 * above go over all 32 places: what stands under a name that a program does not know balances too.
 */
struct volley_stats {
	/**
	 * sizeof(struct volley_stats), as your compiler sees it, set by the caller
	 * (volley_stats_init()). Less than the first release's is -EINVAL, for that is no size;
	 * more than 4,096, which nobody set either, is -E2BIG. Kept as it is.
	 */
	size_t size;
	uint64_t rx_datagrams;
	uint64_t delivered;
	uint64_t rx_dropped[32]; /* by enum volley_rx_drop */
	uint64_t rx_queued;
	uint64_t held_taken;
	uint64_t held_replied;
	uint64_t held_released;
	uint64_t held_expired;
	uint64_t held_abandoned;
	uint64_t held_now;
	uint64_t tx_requested;
	/**
	 * Accepted by the kernel, which is not all that leaves: on listeners without
	 * VOLLEY_LISTEN_REPORT_ERRORS it says nothing when a full device queue takes some of them,
	 * and counts those messages as SndbufErrors in /proc/net/snmp.
	 */
	uint64_t tx_sent;
	uint64_t tx_dropped[32]; /* by enum volley_tx_drop */
	uint64_t tx_queued;
	/**
	 * Of those in tx_sent: reports of the network that one did not arrive, on listeners with
	 * VOLLEY_LISTEN_REPORT_ERRORS.
	 */
	uint64_t tx_reported;
	/** Messages taken from and given to the kernel (one may hold several datagrams). */
	uint64_t rx_messages;
	uint64_t tx_messages;
	/** Messages that a closed socket still held. */
	uint64_t discarded_at_close;
	/** Bytes of kernel memory that unread messages hold now; 0 means that none is left. */
	uint64_t unread_bytes;
	/**
	 * Messages the kernel dropped at our sockets: buffer full, checksum, drained server. Short
	 * ones (76 bytes with the UDP header) with a wrong checksum reach no socket: they are in
	 * InCsumErrors and InErrors of /proc/net/snmp and in no count of ours.
	 */
	uint64_t kernel_drops;
	/** Receive calls that gave at least one message; all receive calls; all send calls. */
	uint64_t rx_batches;
	uint64_t rx_syscalls;
	uint64_t tx_syscalls;
	/**
	 * Messages that held several datagrams: received ones (GRO), sent ones (GSO), and those
	 * that the kernel refused, whose datagrams then were sent one by one.
	 */
	uint64_t rx_coalesced;
	uint64_t tx_segmented;
	uint64_t tx_healed;
	/** Times a worker woke from its wait. */
	uint64_t wakes;
	/**
	 * Bytes that the workers' slots, arenas and buffers may take; what datagrams never touched
	 * is not resident.
	 */
	uint64_t memory_bytes;
	/** Packets that volley_packet_hold() refused to hold. */
	uint64_t held_refused;
	/** Of those in tx_requested: sends and replies that other threads handed to a worker. */
	uint64_t tx_foreign;
};

/**
 * Zero the struct and set its size.
 *
 * @param stats  the struct
 * @param size   sizeof *stats, as your compiler sees it
 * @threads  any
 * @blocks   never
 */
VOLLEY_API void volley_stats_init(struct volley_stats *stats, size_t size);

/**
 * The name of a drop, as the JSON has it: "truncated" of VOLLEY_RX_TRUNCATED. A program that shows
 * all of them goes on until there is none, and so shows those too that came after its header:
 *
 *     for (uint32_t i = 0; i < 32 && volley_rx_drop_name(i) != NULL; i++)
 *             printf("%s %ju\n", volley_rx_drop_name(i), (uintmax_t)stats.rx_dropped[i]);
 *
 * @param reason  a place of `rx_dropped`
 * @return a static string, or NULL beyond the last name
 * @threads  any
 * @blocks   never
 */
VOLLEY_API const char *volley_rx_drop_name(uint32_t reason);

/**
 * The same of a send: "EPERM" of VOLLEY_TX_EPERM.
 *
 * @param reason  a place of `tx_dropped`
 * @return a static string, or NULL beyond the last name
 * @threads  any
 * @blocks   never
 */
VOLLEY_API const char *volley_tx_drop_name(uint32_t reason);

/**
 * The server's counters, summed over its workers.
 *
 * @param server     any state
 * @param ret_stats  `size` set by the caller
 * @return 0, or -EINVAL or -E2BIG for a size that is no struct of ours, or -ESRCH in a child
 * @threads  any
 * @blocks   for a lock that only start, stop and other readers hold
 */
VOLLEY_API int volley_server_get_stats(struct volley_server *server,
				       struct volley_stats *ret_stats);

/**
 * One worker's counters.
 *
 * @param server        any state
 * @param worker_index  0 to n_workers - 1
 * @param ret_stats     `size` set by the caller
 * @return 0, or -EINVAL, also for an index beyond the last, or -E2BIG, or -ESRCH in a child
 * @threads  any
 * @blocks   as volley_server_get_stats()
 */
VOLLEY_API int volley_server_get_worker_stats(struct volley_server *server, uint32_t worker_index,
					      struct volley_stats *ret_stats);

/**
 * One listener's counters, summed over its sockets. `rx_syscalls`, `tx_syscalls`, `wakes` and
 * `memory_bytes` are the workers' and 0 here; every other counter of the server is the sum over its
 * listeners, those that are closed (the JSON has them), and what a hot restart carried over.
 *
 * @param server     any state
 * @param listener   a listener of this server
 * @param ret_stats  `size` set by the caller
 * @return 0; -ESTALE when it is closed; -EINVAL or -E2BIG for a size that is no struct of ours;
 *         -ESRCH in a child
 * @threads  any
 * @blocks   as volley_server_get_stats()
 */
VOLLEY_API int volley_listener_get_stats(struct volley_server *server,
					 struct volley_listener listener,
					 struct volley_stats *ret_stats);

/** The shape of what volley_server_format_stats() writes. Grows when a name changes its meaning. */
#define VOLLEY_STATS_SCHEMA 1

/**
 * The counters as one JSON object: every name as a total at the top level, and the same per worker
 * under "workers", per listener with its "address" under "listeners", for listeners that are closed
 * under "closed", and for what a hot restart carried over under "carried". Beside them "schema"
 * (VOLLEY_STATS_SCHEMA), "version", "pid", and "started" and "now": when the server was made, and
 * when this was written, as Unix time in seconds with three decimals. The shape is part of the API:
 * names are only added.
 *
 * @param server   any state
 * @param text     room for it, or NULL
 * @param n_text   bytes of that room; what does not fit is cut
 * @return the whole length without the NUL, as snprintf does, or -ENOMEM
 * @threads  any
 * @blocks   as volley_server_get_stats()
 */
VOLLEY_API int volley_server_format_stats(struct volley_server *server, char *text, size_t n_text);

#ifdef __cplusplus
}
#endif

#endif
