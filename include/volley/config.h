/* SPDX-License-Identifier: MIT */
#ifndef VOLLEY_CONFIG_H
#define VOLLEY_CONFIG_H

/**
 * @file config.h
 * What a server and a listener can be told. Both structs start with their size and zero means the
 * default, so a program built against an older header keeps working. Fields are only appended.
 */

#include <stddef.h>
#include <stdint.h>

#include <volley/steer.h>
#include <volley/version.h>

#ifdef __cplusplus
extern "C" {
#endif

struct event_base;
struct sock_filter;
struct volley_addr;
struct volley_listener;
struct volley_packet;
struct volley_server;
struct volley_worker;

/*
 * docs/callbacks.md has them in one table: the thread each runs on, and what it may call.
 *
 * Every callback and hook below returns to its caller. None may throw a C++ exception, longjmp(),
 * or end its thread (pthread_exit()): the library is C, so nothing of it would be unwound, the
 * worker would be gone while its server waits for it, and each later stop, drain and free would
 * wait, too, or fail with -EDEADLK. Catch what your code throws inside, as volley/volley.hpp does.
 * A callback that wants the server to end calls volley_server_request_stop().
 */

/**
 * The packet callback: one volley of datagrams of one listener, on the worker's thread, or on a
 * handler's with `n_handlers`.
 *
 * Packets and what they point to are valid until the callback returns. Whatever is not replied to
 * is simply delivered. The callback may block, but nothing else of this worker (or handler) happens
 * meanwhile. volley's cancellation points (volley/cancel.h) in it end with -ECANCELED when the
 * server stops.
 *
 * @param worker   the worker that calls
 * @param packets  array of views
 * @param n        1 to 256
 * @param arg      the listener's `arg`
 */
typedef void (*volley_batch_fn)(struct volley_worker *worker, struct volley_packet *packets,
				size_t n, void *arg);

/** The same for one datagram at a time, for those who prefer it; it costs one more call each. */
typedef void (*volley_packet_fn)(struct volley_worker *worker, struct volley_packet *packet,
				 void *arg);

/**
 * The network reported (ICMP) that an earlier reply did not arrive. On the worker's thread, between
 * packet callbacks: what a callback meets when it sends is told after it. Of more than 256 such
 * reports at a time the rest is only counted (tx_reported).
 *
 * @param peer   whom the reply was for
 * @param error  positive errno, such as ECONNREFUSED or EHOSTUNREACH
 */
typedef void (*volley_error_fn)(struct volley_worker *worker, const struct volley_addr *peer,
				int error, void *arg);

/** A line that somebody was told of has ended: volley_worker_get_tx_queued() has all of it. */
typedef void (*volley_listener_fn)(struct volley_worker *, struct volley_listener, void *arg);

/**
 * A new socket of a listener, before it is bound: the place for options that have to be set by then
 * (IP_FREEBIND) or on all sockets alike (SO_MARK, SO_PRIORITY).
 *
 * Called once for each socket that volley_server_listen() opens, on the thread that called it, in
 * the order of their indexes. Not for sockets that are adopted or come from the process before:
 * they have their options. What this sets stays, but for what volley sets itself, which comes after
 * it: buffers, IPV6_V6ONLY, mtu_discover, bind_device, what the flags ask for, filters.
 * SO_REUSEPORT is set through VOLLEY_LISTEN_SHARE_PORT. Where a system refuses SO_REUSEPORT after a
 * bind (gVisor), all sockets are closed and opened once more, and this is called for the new ones.
 *
 * It must not call volley about this server, for it would wait for itself, and must not close the
 * descriptor or read from it.
 *
 * @param fd            a UDP socket, not bound yet
 * @param socket_index  0 to one less than the workers: as a rule worker i will serve socket i
 * @param arg           the listener's `arg`
 * @return 0, or a negative errno: volley_server_listen() then closes all sockets of the listener,
 *         says so in the log and returns that
 */
typedef int (*volley_socket_fn)(int fd, uint32_t socket_index, void *arg);

/**
 * Worker hooks, on the worker's thread; with a loop of your own, on the thread that starts, serves
 * or stops. `arg` is the config's `arg`.
 */
typedef int (*volley_worker_start_fn)(struct volley_worker *worker, void *arg);
typedef void (*volley_worker_fn)(struct volley_worker *worker, void *arg);

/**
 * A signal that volley_server_run() took for you; called on the thread that called run, which hears
 * nothing else until it returns: neither other signals nor volley_server_request_stop() and
 * volley_server_drain() of other threads. volley_server_stop() stops the workers meanwhile, and
 * waits for it.
 */
typedef void (*volley_signal_fn)(struct volley_server *server, int signo, void *arg);

enum volley_log_level {
	VOLLEY_LOG_ERROR = 0, /* what was asked for did not happen */
	VOLLEY_LOG_WARNING,   /* it happened, but less than asked */
	VOLLEY_LOG_INFO,
};

/**
 * The log hook: rare events, one complete sentence each, without a newline. Without a hook nothing
 * is ever printed; volley_log_stderr() is one. May be called from any thread that calls volley and
 * from workers, never from a signal handler; it must not call back into the server.
 *
 * What libevent says of a worker's own event_base comes here too: each start of a server with the
 * wait strategy `event` sets libevent's log callback (event_set_log_callback(), one for the whole
 * process). Lines of other threads go to stderr, where libevent writes them by itself; a program
 * that wants those elsewhere sets a callback of its own after the start, and then hears ours too.
 */
typedef void (*volley_log_fn)(enum volley_log_level level, const char *text, void *arg);

/**
 * A log hook that is ready for use: one line to stderr for each sentence, "volley: error: ...".
 *
 *     volley_server_new(VOLLEY_CONFIG(.log = volley_log_stderr), &server);
 *
 * A line is written by one write(2), so those of several threads do not mix; what is longer than a
 * kilobyte is cut. errno stays as it is. Where stderr is a pipe that is full and blocks, a worker
 * waits there as any thread would that writes to it: examples/common/log.c shows how not to.
 *
 * @param level  named in the line
 * @param text   without a newline
 * @param arg    not used
 * @threads  any; not from a signal handler
 * @blocks   as write(2) to stderr does
 */
VOLLEY_API void volley_log_stderr(enum volley_log_level level, const char *text, void *arg);

/**
 * Where a server's memory comes from: objects, receive slots, pools of packet buffers, posted
 * functions, what statistics are formatted from. Both functions are set; the struct must stay as it
 * is until volley_server_free() has returned. They may be called from every thread that calls
 * volley about this server and from its workers, several at a time; never from a signal handler,
 * and never for a datagram: only new, listen, start, post and format_stats allocate. volley/peers.h
 * says when a table of peers calls the one that it was given.
 *
 * What stays with the C library and the system: the handles of volley/cancel.h (a library of its
 * own), libevent's objects (event_set_mem_functions() is for those), the stacks of threads, and one
 * page a server that the kernel clears in a forked child (MADV_WIPEONFORK, Linux 4.14).
 */
struct volley_allocator {
	/**
	 * n_bytes of memory, aligned to align_bytes: a power of two, up to 4,096, of which n_bytes
	 * is a multiple. What it holds does not matter. NULL when there is none: the caller then
	 * gets -ENOMEM. What is aligned to 4,096 is a pool, large and touched here and there: map
	 * it without huge pages (madvise(2), MADV_NOHUGEPAGE), as by default.
	 */
	void *(*allocate)(size_t n_bytes, size_t align_bytes, void *arg);
	/** Take back what allocate gave for the same two numbers; never NULL. */
	void (*deallocate)(void *mem, size_t n_bytes, size_t align_bytes, void *arg);
	void *arg;
};

/** How a worker waits when there is nothing to do. */
enum volley_wait {
	VOLLEY_WAIT_EVENT = 0, /* on a libevent loop of its own: several listeners, your events */
	VOLLEY_WAIT_BLOCK, /* in recvmmsg: a system call less per volley, but one listener only */
	VOLLEY_WAIT_SPIN,  /* not at all: the worker uses its CPU fully */
	VOLLEY_WAIT_FD,    /* no thread: a loop of yours, by volley_server_get_fd(), _process() */
};

/** Server flags. */
#define VOLLEY_SERVER_PIN (1u << 0) /* worker i to the i-th CPU of the process's affinity mask */

/** What a server can be told. Everything zero is a good server. */
struct volley_config {
	/** sizeof(struct volley_config), as your compiler sees it; VOLLEY_CONFIG() fills it. */
	size_t size;

	/* Threads, and how they wait. */

	/**
	 * Workers (threads), 1 to 1,024. Default: one per CPU in the process's affinity mask, but
	 * no more than the CPU quota of its control groups comes to, rounded up (cgroups(7):
	 * cpu.max, cpu.cfs_quota_us). With a loop of your own there is one worker and no thread.
	 */
	uint32_t n_workers;
	/**
	 * Handler threads per worker, 0 to 256, for callbacks that may be slow or block: they run
	 * there, while the worker goes on receiving. Default 0: callbacks run on the worker. A
	 * client's datagrams all go to one handler and stay in order, where a listener's `spread`
	 * does not say otherwise. Not with VOLLEY_WAIT_BLOCK.
	 */
	uint32_t n_handlers;
	/** enum volley_wait. Default VOLLEY_WAIT_EVENT. */
	uint32_t wait;
	/** VOLLEY_SERVER_* */
	uint32_t flags;
	/**
	 * I/O backend: "mmsg", "msg", or "auto". Default: the environment variable VOLLEY_IO, else
	 * the first of which this system refuses nothing: "msg", with a warning, where the batch
	 * calls are missing or a filter of system calls refuses one of them.
	 */
	const char *io;
	/**
	 * Serve on this libevent base of yours instead of a thread of ours, with the wait strategy
	 * `event`: volley_server_start() adds its events there and returns, your loop serves, and
	 * stop, drain, close and free take them out again. All of these, and what adds and closes
	 * listeners meanwhile, only on the thread that runs the base (or while nobody does). The
	 * base must outlive the server or its last stop; freeing it first is an error that libevent
	 * does not notice. Several servers may share one base. See docs/loops.md.
	 */
	struct event_base *event_base;

	/* Memory, and how much is done at a time. */

	/** Where the server's memory comes from. Default: the C library and mmap(2). Not copied. */
	const struct volley_allocator *allocator;
	/**
	 * Datagrams taken per receive call, 1 to 1,024. Default 64: twice that gains under 1 %,
	 * half costs 3 % (docs/benchmarks.md).
	 */
	uint32_t n_batch;
	/**
	 * Receive calls per socket and wake, 1 to 1,024, before timers and other sockets get their
	 * turn. Default 4.
	 */
	uint32_t n_budget;
	/**
	 * Largest datagram received whole, 1 to 65,535. Default 65,535; memory is only resident
	 * where datagrams touched it. A worker's receive slots are of this size, and larger where
	 * an adopted socket or one of a hand-over holds messages that the kernel has coalesced.
	 */
	uint32_t max_datagram_bytes;
	/**
	 * Socket receive and send buffer to ask for, before the kernel's doubling, be it more or
	 * less than what the system gives by itself. Default: the larger of 4 MiB and that; a
	 * warning is logged when you asked and the kernel gave less. With less than 2 MiB to
	 * receive, coalescing in (UDP_GRO) is off, and an info line says so.
	 */
	uint32_t rcvbuf_bytes;
	uint32_t sndbuf_bytes;
	/** Room for copied replies per worker and flush, 65,536 or more. Default 1 MiB. */
	uint32_t arena_bytes;
	/** Replies per worker that may wait for a full socket. Default 1,024. */
	uint32_t n_backlog;
	/**
	 * Packets that one handler may have at a time, waiting or in its callback: a power of two
	 * from 8 to 32,768; what comes beyond is dropped as `ring_full`. Default 1,024.
	 */
	uint32_t n_ring;
	/**
	 * Packets that a worker may hold (volley_packet_hold()) at a time, 1 to 1,048,576. Default
	 * 1,024; memory is only resident where packets were held.
	 */
	uint32_t n_held;

	/* Time, in microseconds. */

	/** How long a reply may wait for a full socket before it is `timeout`. Default 50,000. */
	uint32_t backlog_us;
	/**
	 * How long a drain goes on serving as before, new datagrams too, from the moment in which
	 * it is asked for (on_drain), 0 to 600,000,000: the time that clients need to hear of it
	 * and to finish. Default 0. A server without a listener does not linger.
	 */
	uint32_t linger_us;
	/** How long a drain may serve the rest, once it refuses what is new. Default 1,000,000. */
	uint32_t drain_us;
	/**
	 * How long a packet may wait for its handler before it is dropped as `expired`. Default 0:
	 * for ever.
	 */
	uint32_t max_age_us;
	/**
	 * How long a packet may be held before its token is void, 1 to 3,600,000,000. Default
	 * 10,000,000.
	 */
	uint32_t hold_us;

	/* Hooks, in the order of their calls; docs/callbacks.md has their threads. */

	/** Rare events: what was refused, and what to do about it. volley_log_stderr() is one. */
	volley_log_fn log;
	/**
	 * Called first on each worker's thread; a negative errno makes volley_server_start() fail
	 * with it. May block.
	 */
	volley_worker_start_fn on_start;
	/**
	 * Called on the worker's thread for each volley, before its packets are delivered.
	 * on_batch_end follows, also when none of them could be.
	 */
	volley_worker_fn on_batch_begin;
	/** Called after each volley's replies were handed to the kernel. */
	volley_worker_fn on_batch_end;
	/**
	 * Called once on each worker's thread, between two volleys, when a drain is asked for
	 * (volley_server_drain(), under volley_server_run() the first signal or
	 * volley_server_request_stop()), and by volley_server_export_fds() before sockets are given
	 * away: the moment to say goodbye. It may do all that a posted function may; what it sends
	 * leaves at once. At most once between a start and its stop, and never for a stop without a
	 * drain. The drain refuses what is new when it has returned everywhere and `linger_us` are
	 * over; when it returns later than these, it takes of `drain_us`.
	 */
	volley_worker_fn on_drain;
	/** Called last on each worker's thread, once for each successful on_start. */
	volley_worker_fn on_stop;
	/** Called by volley_server_run() for each of `run_signals`. */
	volley_signal_fn on_signal;
	/** Further signals for volley_server_run() to take, as a mask of VOLLEY_SIGNAL(signo). */
	uint64_t run_signals;
	/** Passed to every hook here. */
	void *arg;
};

/** The bit of a signal in `run_signals`; signals 1 to 63. */
#define VOLLEY_SIGNAL(signo) (UINT64_C(1) << (signo))

/** Listener flags. */
#define VOLLEY_LISTEN_SHARE_PORT        (1u << 0) /* other processes of this user may bind it too */
#define VOLLEY_LISTEN_V6ONLY            (1u << 1) /* [::] takes no IPv4 */
#define VOLLEY_LISTEN_DELIVER_TRUNCATED (1u << 2) /* deliver what fits of an oversized datagram */
#define VOLLEY_LISTEN_WANT_TTL          (1u << 3) /* volley_packet_get_ttl() */
#define VOLLEY_LISTEN_WANT_TOS          (1u << 4) /* volley_packet_get_tos() */
#define VOLLEY_LISTEN_WANT_INTERFACE    (1u << 5) /* volley_packet_get_interface() */
#define VOLLEY_LISTEN_WANT_TIMESTAMP    (1u << 6) /* volley_packet_get_timestamp() */
#define VOLLEY_LISTEN_NO_COALESCE       (1u << 7) /* neither GRO in nor GSO out */
#define VOLLEY_LISTEN_REPORT_ERRORS     (1u << 8) /* count ICMP errors, call on_error */
/**
 * Replies differ in length, and those to one client may leave in any order.
 *
 * Replies that are equally long can leave as one segmented message; without this flag only a run of
 * them can, since replies to one client leave in the order in which they were given. With it, the
 * replies of a volley to one client are first sorted by length, longest first (equally long ones
 * keep their order), so that almost all of them leave in company. No reply becomes longer. For
 * protocols whose replies name their question, such as DNS. No effect where nothing is segmented
 * (VOLLEY_LISTEN_NO_COALESCE, kernels before 4.18).
 */
#define VOLLEY_LISTEN_GROUP_BY_SIZE (1u << 9)
/** Adopted sockets are somebody else's as well: see volley_server_adopt(). */
#define VOLLEY_LISTEN_KEEP_SOCKETS (1u << 10)
/**
 * A reply leaves by the interface through which its request came (IP_PKTINFO, IPV6_PKTINFO),
 * whatever way the routing table has for that client otherwise. For hosts with several uplinks and
 * for VRFs: the kernel looks for a route by that interface (`ip rule add oif eth1 table 100`).
 * Where there is none, IPv4 takes the client for a neighbour on that link, and the reply is lost;
 * IPv6 drops it as ENETUNREACH.
 *
 * Without the flag only replies from or to a link-local address (169.254.0.0/16, fe80::/10) do,
 * because such an address means another host on each link; a listener that is bound to one other
 * address needs the flag for link-local clients too. What is no reply leaves as the routing table
 * says.
 */
#define VOLLEY_LISTEN_ARRIVAL_INTERFACE (1u << 11)
/**
 * Sends and replies may go to broadcast addresses (SO_BROADCAST), as a DHCP server's do. Without it
 * they are dropped as EACCES. A send to 255.255.255.255 leaves by the link that has the address it
 * leaves from: pass the request's `packet->local`.
 */
#define VOLLEY_LISTEN_BROADCAST (1u << 12)
/**
 * What the listener sends to groups reaches this machine too, where somebody has joined them
 * (IP_MULTICAST_LOOP, IPV6_MULTICAST_LOOP): other programs, and the listener itself. A listener
 * that is bound to a group has that off by default, so that it does not hear itself.
 */
#define VOLLEY_LISTEN_MULTICAST_LOOP (1u << 13)
#define VOLLEY_LISTEN_ONE_SOCKET     (1u << 14) /* for many listeners: volley_server_listen() */
#define VOLLEY_LISTEN_TRANSPARENT    (1u << 15) /* what a firewall diverts: the same */
#define VOLLEY_LISTEN_DRAIN_LAST     (1u << 16) /* for replies to us: volley_server_drain() */

/**
 * Path MTU discovery: what the kernel does about replies that are longer than the path to a client
 * takes. Each family has its own, and a listener on [::] that takes IPv4 as well has both (ip(7),
 * IP_MTU_DISCOVER; ipv6(7), IPV6_MTU_DISCOVER). An adopted socket is given what is asked for here.
 *
 * |         | IPv4                             | IPv6                              |
 * |---------|----------------------------------|-----------------------------------|
 * | OMIT    | routers fragment, ICMP ignored   | we fragment as ICMP told          |
 * | KERNEL  | the system's: as a rule, we      | we fragment as ICMP told          |
 * |         | fragment as ICMP told            |                                   |
 * | DO      | EMSGSIZE beyond what ICMP told   | EMSGSIZE beyond what ICMP told    |
 * | PROBE   | EMSGSIZE beyond our own link     | EMSGSIZE beyond our own link      |
 */
enum volley_mtu_discover {
	/**
	 * IPv4: ignore what ICMP says of the path, and let routers fragment. An attacker can forge
	 * those messages to have every reply cut up, and a server cannot send again (RFC 9715,
	 * Linux 3.15). Costs nothing beside VOLLEY_MTU_KERNEL.
	 *
	 * IPv6: as VOLLEY_MTU_KERNEL. No IPv6 router fragments (RFC 8200, section 5), so who
	 * ignores them reaches nobody behind a narrower link (RFC 8201). The first reply beyond the
	 * path's MTU is lost, the later ones leave in fragments of at least 1,280 bytes. Replies of
	 * up to 1,232 bytes are never cut, whatever anybody forges.
	 */
	VOLLEY_MTU_OMIT = 0,
	/**
	 * As the system has it. IPv4: usually believes ICMP, and fragments what is longer than the
	 * path MTU that it told (sysctl net.ipv4.ip_no_pmtu_disc). IPv6: always so.
	 */
	VOLLEY_MTU_KERNEL,
	/** Both: never fragment; replies longer than the known path MTU are dropped as EMSGSIZE. */
	VOLLEY_MTU_DO,
	/**
	 * Both: never fragment, and ignore ICMP, for those who probe the path themselves (RFC
	 * 8899). What is longer than the path takes is lost on the way.
	 */
	VOLLEY_MTU_PROBE,
};

/** What a listener can be told. One of the two callbacks is required. */
struct volley_listen_config {
	/** sizeof(struct volley_listen_config); VOLLEY_LISTEN() fills it. */
	size_t size;

	/* Callbacks; docs/callbacks.md has their threads. */

	/** Called with a volley of datagrams. */
	volley_batch_fn on_batch;
	/** Or: called with each datagram. */
	volley_packet_fn on_packet;
	/** Called for each report, with VOLLEY_LISTEN_REPORT_ERRORS; may be NULL. */
	volley_error_fn on_error;
	/** Called when a line of replies and sends that you were told of has ended; may be NULL. */
	volley_listener_fn on_writable;
	/** Called for each socket that is opened, before its bind; may be NULL. */
	volley_socket_fn on_socket;
	/** Passed to these. */
	void *arg;

	/* How it listens, serves and sends. */

	/** VOLLEY_LISTEN_* */
	uint32_t flags;
	/** enum volley_spread. Default VOLLEY_SPREAD_FLOW. Nothing without handlers. */
	uint32_t spread;
	/** enum volley_mtu_discover. Default VOLLEY_MTU_OMIT. */
	uint32_t mtu_discover;
	/** As in the server's config, for this listener. Default: the server's. */
	uint32_t rcvbuf_bytes;
	uint32_t sndbuf_bytes;
	/** enum volley_steer. Default VOLLEY_STEER_FLOW. */
	uint32_t steer;
	/** For VOLLEY_STEER_BYTE: where the byte is, 0 to 65,534. */
	uint32_t steer_offset;
	/** For VOLLEY_STEER_PROGRAM: its instructions (linux/filter.h), 1 to 4,096; copied. */
	uint32_t n_steer_program;
	const struct sock_filter *steer_program;
	/** The one interface that it hears and sends by: volley_server_listen(). Copied. */
	const char *bind_device;
};

#ifndef __cplusplus
/** A server config as a compound literal: VOLLEY_CONFIG(.n_workers = 2). */
#define VOLLEY_CONFIG(...) \
	(&(const struct volley_config){ .size = sizeof(struct volley_config), __VA_ARGS__ })
/** A listener config as a compound literal: VOLLEY_LISTEN(.on_batch = echo). */
#define VOLLEY_LISTEN(...)                                                                  \
	(&(const struct volley_listen_config){ .size = sizeof(struct volley_listen_config), \
					       __VA_ARGS__ })
#endif

/**
 * Zero a server config and set its size: VOLLEY_CONFIG() for whoever cannot use a compound literal,
 * as C++ cannot, or no macro, as a binding from another language, or sets fields one by one.
 *
 *     struct volley_config config;
 *
 *     volley_config_init(&config, sizeof config);
 *     config.n_workers = 2;
 *
 * @param config  the struct
 * @param size    sizeof *config, as your compiler sees it: the library's may be another
 * @threads  any
 * @blocks   never
 */
VOLLEY_API void volley_config_init(struct volley_config *config, size_t size);

/**
 * The same for a listener's config: VOLLEY_LISTEN().
 *
 * @param config  the struct
 * @param size    sizeof *config, as your compiler sees it
 * @threads  any
 * @blocks   never
 */
VOLLEY_API void volley_listen_config_init(struct volley_listen_config *config, size_t size);

#ifdef __cplusplus
}
#endif

#endif
