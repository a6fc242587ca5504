/* SPDX-License-Identifier: MIT */
#ifndef VOLLEY_LISTENER_H
#define VOLLEY_LISTENER_H

/**
 * @file listener.h
 * Where a server listens. Listeners come and go at any time, before the start and while it serves.
 */

#include <stddef.h>
#include <stdint.h>

#include <volley/addr.h>
#include <volley/config.h>
#include <volley/version.h>

#ifdef __cplusplus
extern "C" {
#endif

struct volley_server;

/**
 * A listener: copy it, keep it, hand it to other threads. Once the listener is closed it is stale:
 * every call then gives -ESTALE, and none ever reaches another listener, of this server or of
 * another one of the process. All zero is none, and as stale.
 */
struct volley_listener {
	uint64_t id;
};

/**
 * Listen on an address: one socket per worker, bound now. On a running server each worker takes its
 * socket up between two volleys, and when this returns all of them serve it.
 *
 * Another server that binds the port gets EADDRINUSE, a second one of volley's too, unless both set
 * VOLLEY_LISTEN_SHARE_PORT. (A process of this user that sets SO_REUSEPORT before its first bind
 * can still join: the kernel has no way to keep it out of a group. So can any of volley's where the
 * system takes SO_REUSEPORT before a bind only, as gVisor does; a warning says so.) Datagrams queue
 * from now on and are served once the server is started.
 *
 * [::] takes IPv4 as well, unless VOLLEY_LISTEN_V6ONLY is set or this server has a listener on
 * 0.0.0.0 and the same port already. ":7777" and "*:7777" are [::], and 0.0.0.0 where the system
 * has no IPv6. Listeners of this server may have a port in common and overlap (127.0.0.1 and
 * 0.0.0.0 beside [::], in any order): a datagram goes to the one that names its destination most
 * closely, and a broadcast to each.
 *
 * With VOLLEY_LISTEN_ONE_SOCKET it has one socket, however many workers there are: for listeners in
 * numbers, each of which has little to do. One worker serves it, and the next listener's another
 * one. From the 65th listener on, receive buffers that nobody asked for are the system's.
 *
 * `bind_device` names an interface or a VRF, and nothing else is heard or sent by (SO_BINDTODEVICE;
 * NULL or "": all). One address on several interfaces makes several listeners. Adopted sockets are
 * bound to it too, and in a hot restart sockets go to who asks for their interface, or for none.
 *
 * With VOLLEY_LISTEN_TRANSPARENT the address may be none of this machine, and the listener is given
 * what a firewall diverts to it ("tproxy"), for any address and port, both of which
 * volley_packet_get_destination() tells. A reply leaves from that address, but from the listener's
 * own port: a socket has no other.
 *
 * @param server        a server that is not closed
 * @param address       as volley_addr_parse() reads it; port 0 picks one, see
 *                      volley_listener_get_addr()
 * @param config        one of the callbacks set; copied
 * @param ret_listener  the listener; untouched on failure; may be NULL. On a running server its
 *                      first callback may be earlier: there it is `packet->listener`
 * @return 0; -EINVAL for a bad address or config, or for a second listener while the wait strategy
 *         `block` runs; -EDEADLK from a worker; -ESHUTDOWN when closed; -EADDRINUSE;
 *         -EADDRNOTAVAIL; -EACCES; -EPERM; -ENODEV; -EMFILE; -ENOMEM; the log hook gets a sentence
 *         that says what to do
 * @threads  any but a worker; run's on_signal hook may
 * @blocks   not while the server rests; else until the callbacks of the volley that runs have
 *           returned: of n_batch packets at most. A server that is starting, draining or stopping
 *           gets to the end of that first
 * @kernel   SO_BINDTOIFINDEX, Linux 5.0, with CAP_NET_RAW before 5.7; IP_TRANSPARENT and
 *           IPV6_TRANSPARENT, with CAP_NET_ADMIN or CAP_NET_RAW
 */
VOLLEY_API int volley_server_listen(struct volley_server *server, const char *address,
				    const struct volley_listen_config *config,
				    struct volley_listener *ret_listener);

/**
 * Listen on sockets that are bound already: a service manager's (volley_activation_get_fds()), or
 * some that were made in a way of your own.
 *
 * All sockets of one address and interface make one listener, others several. Socket i is served by
 * worker i modulo n_workers: with more sockets than workers a worker has several (the wait strategy
 * `block`, which sleeps in one, refuses that: at the start, or here while it runs). With fewer, the
 * last workers have none of it, and a warning says so; VOLLEY_LISTEN_ONE_SOCKET is for those that
 * are to have one.
 *
 * From here on the descriptors are the server's: it sets them close-on-exec, sets the options that
 * the config asks for, and the buffers, and closes them. O_NONBLOCK stays as it is; nothing depends
 * on it. What they have queued is served. What they had dropped before is not counted.
 *
 * Other options stay, but for those that change what sending and receiving do: UDP_CORK,
 * UDP_SEGMENT, IPV6_RECVPATHMTU, SO_TIMESTAMPING and SO_RXQ_OVFL are switched off, and so are
 * IP_RECVERR and IPV6_RECVERR, with what their queue holds, unless the config asks for reports. A
 * filter (SO_ATTACH_FILTER, SO_ATTACH_BPF) stays; volley_server_drain() says what becomes of it. So
 * does a program that chooses among them (SO_ATTACH_REUSEPORT_*), unless the config steers. What
 * else the kernel has to say of a datagram, or comes to say because whoever else holds the socket
 * switches it on later, is passed over.
 *
 * Where somebody else holds the same sockets and will want them afterwards (a service manager
 * does), set VOLLEY_LISTEN_KEEP_SOCKETS: then stop, drain and close only end the reading, what is
 * still queued stays for whoever reads next, and is not counted as discarded. Without it the
 * sockets are taken out of service when the server closes them, for everybody who holds them.
 *
 * @param server         a server that is not closed
 * @param fds            bound UDP sockets, each of them once
 * @param n_fds          1 or more
 * @param config         as for volley_server_listen()
 * @param ret_listeners  room for n_fds listeners, of which as many are written as there are
 *                       addresses, in the order in which `fds` names them first; untouched on
 *                       failure; may be NULL
 * @return how many listeners there are now of these sockets, 1 or more; -EBADF; -ENOTSOCK;
 *         -EPROTOTYPE for what is no UDP socket; -EAFNOSUPPORT; -EINVAL for one that is not bound,
 *         was shut down, comes twice or is the server's already, and as volley_server_listen(). On
 *         failure all descriptors stay the caller's. The log hook gets a sentence that names the
 *         descriptor.
 * @threads  any but a worker; run's on_signal hook may
 * @blocks   not while the server rests; else until the callbacks of the volley that runs have
 *           returned: of n_batch packets at most. A server that is starting, draining or stopping
 *           gets to the end of that first
 * @kernel   SO_COOKIE, Linux 4.12
 */
VOLLEY_API int volley_server_adopt(struct volley_server *server, const int *fds, uint32_t n_fds,
				   const struct volley_listen_config *config,
				   struct volley_listener *ret_listeners);

/**
 * The descriptors that a service manager passed to this process (socket activation: LISTEN_FDS,
 * LISTEN_PID and LISTEN_FDNAMES, as sd_listen_fds(3) documents them). Sets them close-on-exec. The
 * environment stays as it is, so this may be called again, for other names.
 *
 * @param name     those with this name only (FileDescriptorName= of a socket unit); NULL: all
 * @param ret_fds  room for n_fds descriptors
 * @param n_fds    more than these are counted, not returned
 * @return how many there are, 0 when there are none for this process; -EINVAL when a variable is
 *         malformed or a name is asked for and there are none; -EBADF when a descriptor is not open
 * @threads  any, while none changes the environment
 * @blocks   never
 */
VOLLEY_API int volley_activation_get_fds(const char *name, int *ret_fds, uint32_t n_fds);

/**
 * Close a listener; the others go on.
 *
 * Its sockets refuse what is new, are served to the last datagram while the server runs, and are
 * counted and closed. Its counters stay in the server's.
 *
 * @param server    any state
 * @param listener  a listener of this server
 * @return 0; -ESTALE when it is closed; -ETIME when config.drain_us was over first, and then it is
 *         closed as well and the rest counted as discarded_at_close; -EDEADLK from a worker;
 *         -ESHUTDOWN when the server is closed
 * @threads  any but a worker; run's on_signal hook may
 * @blocks   up to config.drain_us, and for a few volleys' callbacks, as volley_server_listen()
 * @kernel   as volley_server_drain()
 */
VOLLEY_API int volley_listener_close(struct volley_server *server, struct volley_listener listener);

/**
 * The address that a listener is bound to, with the port that port 0 became.
 *
 * @param server    any state
 * @param listener  a listener of this server
 * @param ret_addr  the address; untouched on failure
 * @return 0, or -ESTALE when it is closed
 * @threads  any
 * @blocks   for a lock that only start, stop and readers of statistics hold
 */
VOLLEY_API int volley_listener_get_addr(struct volley_server *server,
					struct volley_listener listener,
					struct volley_addr *ret_addr);

/**
 * The listeners that a server has, also those that others of the program have made.
 *
 * @param server         any state
 * @param ret_listeners  room for n listeners, or NULL where n is 0
 * @param n              more than these are counted, not returned
 * @return how many there are
 * @threads  any
 * @blocks   as volley_listener_get_addr()
 */
VOLLEY_API int volley_server_get_listeners(struct volley_server *server,
					   struct volley_listener *ret_listeners, uint32_t n);

/**
 * A socket of a listener, to read its options or to set those that volley leaves alone: priorities,
 * marks, whatever setsockopt(2) has. Groups are for volley_listener_join(): what another socket
 * than the first has joined is dropped as a copy.
 *
 * Borrowed until volley_listener_close() or the close of the server begins: do not close it, read
 * from it, send by it, poll it or shut it down. Filters, SO_REUSEPORT, SO_TIMESTAMP*, SO_RXQ_OVFL,
 * UDP_GRO, UDP_SEGMENT, UDP_CORK, IP_RECVERR, IP_PKTINFO and their like of IPv6 are volley's; what
 * has to be set before the bind is for the config's `on_socket`.
 *
 * @param server        any state
 * @param listener      a listener of this server
 * @param socket_index  0 to one less than it has sockets: as a rule one for each worker, which has
 *                      the same index
 * @return the descriptor; -ESTALE when the listener is closed; -ENOENT when it has no such socket;
 *         -ESRCH in a child
 * @threads  any
 * @blocks   as volley_listener_get_addr()
 */
VOLLEY_API int volley_listener_get_fd(struct volley_server *server, struct volley_listener listener,
				      uint32_t socket_index);

/**
 * A multicast group, by whom and where it is heard.
 */
struct volley_group {
	/** sizeof(struct volley_group), as your compiler sees it; what follows may be zero. */
	size_t size;
	/** 224.0.0.0/4 or ff00::/8; the port does not count. */
	struct volley_addr group;
	/** Only what this host sends there (RFC 4607); of the group's family. len 0: all hosts. */
	struct volley_addr source;
	/**
	 * The name of the interface it is heard on. NULL or "": the group's scope
	 * ("[ff02::fb%eth0]:0"), else that of the listener's address, else what the routing table
	 * says.
	 */
	const char *interface;
};

/**
 * Have a listener hear a multicast group. Each datagram is served once, however many workers there
 * are.
 *
 * The listener's address has to include the group: a wildcard, or the group's own. One on [::]
 * takes groups of both families, unless it has VOLLEY_LISTEN_V6ONLY. One that is bound to a link
 * ("[ff02::fb%eth0]:5353") hears that link only, wherever it joins.
 *
 * A membership lasts until it is left or the listener is closed: over a stop and a start, and over
 * a hot restart, where it goes with the socket. (So a program that joins whenever it starts gets
 * -EADDRINUSE then, which is as good as 0.) A group that is joined on several interfaces is a
 * membership on each.
 *
 * When its interface goes away, nothing is heard any more. One that comes back under that name is
 * another one to the kernel, and has to be joined again; where it has the same index as before,
 * that is -EADDRINUSE until the dead membership is left. Others cannot be left, and count for the
 * system's limit (20 IPv4 groups, net.ipv4.igmp_max_memberships) until the listener is closed: so
 * leave before an interface is removed.
 *
 * On interfaces where it has not joined a group itself, a listener on a wildcard hears what others
 * of this machine have joined, whether or not it joins anything.
 *
 * @param server    any state
 * @param listener  a listener of this server
 * @param group     the group; copied. Joined by source, it is joined for one more; joined by source
 *                  after it was joined for all, for that source only
 * @return 0; -EADDRINUSE when it is joined already; -ENODEV for an interface that there is not, or
 *         where no route names one; -ENOBUFS beyond the system's limit, which the log names;
 *         -EINVAL for what is no group, a source of another family, or a listener that cannot hear
 *         it; -E2BIG for a newer struct than this library knows; -ESTALE when the listener is
 *         closed; -ESRCH in a child; another -errno where the system refuses it, which the log says
 * @threads  any, workers too
 * @blocks   while the kernel changes links or routes, and while others join or leave
 * @kernel   MCAST_JOIN_GROUP, MCAST_JOIN_SOURCE_GROUP (RFC 3678), Linux 2.6
 */
VOLLEY_API int volley_listener_join(struct volley_server *server, struct volley_listener listener,
				    const struct volley_group *group);

/**
 * End a membership, named as it was joined. What has arrived is served.
 *
 * Without a source the group is left for all of them. Without an interface, scope or listener's
 * scope, an IPv6 group is left on the first interface on which it is joined, and an IPv4 group on
 * the one that the routing table names by now.
 *
 * @param server    any state
 * @param listener  a listener of this server
 * @param group     as it was joined
 * @return 0; -EADDRNOTAVAIL when it is not joined so; else as volley_listener_join()
 * @threads  any, workers too
 * @blocks   as volley_listener_join()
 * @kernel   MCAST_LEAVE_GROUP, MCAST_LEAVE_SOURCE_GROUP
 */
VOLLEY_API int volley_listener_leave(struct volley_server *server, struct volley_listener listener,
				     const struct volley_group *group);

#ifdef __cplusplus
}
#endif

#endif
