/* SPDX-License-Identifier: MIT */
#ifndef VOLLEY_HANDOVER_H
#define VOLLEY_HANDOVER_H

/**
 * @file handover.h
 * Hot restart: a new process takes the sockets over from an old one, and no datagram is lost.
 *
 * Both speak over a connected AF_UNIX socket of type SOCK_SEQPACKET that the program has made; the
 * old process is the one that gives:
 *
 *     old, serving                               new
 *     volley_server_export_fds()  -- sockets -->  volley_server_import_fds()
 *                                                 volley_server_listen() ... finds them by address
 *                                                 volley_server_start(): both read now
 *           says goodbye          <-- ready ---   volley_server_import_commit()
 *           stops reading
 *           replies to what it has
 *           is served out         -- counters ->
 *           closes its copies     <-- taken ---
 *           returns 0             --- gone --->   returns 0
 *
 * The kernel's queues belong to the sockets, not to a process, and at every moment at least one
 * process reads them. The old process goes only when it has heard that everything was taken, and
 * the new one gives up only when the old one has said that it serves on and hears of it: in every
 * doubt both serve. docs/restart.md goes through every step.
 *
 * Sockets that were offered or imported are not broken by an end (no filter, no leaving of the
 * kernel's lookup), and their options stay, for as long as another server may hold them: the other
 * side of the hand-over, whoever got them from it, and children forked since. The kernel tells when
 * they have closed them.
 */

#include <stdint.h>

#include <volley/server.h>
#include <volley/stats.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The most descriptors of the program's own that go with the sockets. */
#define VOLLEY_HANDOVER_N_FDS 16

/**
 * The old process's part, all of it. The server serves on until the new one is ready, and if that
 * never comes to be, for ever.
 *
 * After success the listeners that the new process took are closed here; those that it did not want
 * are still served. What remains is to end: volley_server_request_stop().
 *
 * When the new one is ready, config.on_drain runs here on every worker, and then the worker stops
 * reading. There is no config.linger_us in between: both processes read the sockets by then, so
 * what a client sends now may come to either, and the new one waits. Of a restart that fails behind
 * that remains a server that has said goodbye and serves on: on_drain does not run again before the
 * next start.
 *
 * While this runs, listeners do not change (-EBUSY), and a drain (when it has lingered) or close
 * ends it first.
 *
 * Further descriptors of the program's (its TCP listeners, say) go with the sockets, in order. The
 * new process gets copies; those here stay the caller's, whatever this returns, and are neither
 * used nor closed. Keep them open until it has returned: before "taken" the new process may give up
 * or die, and this one serves on with them. After 0 close them.
 *
 * @param server         any state but closed
 * @param fd             a connected SOCK_SEQPACKET socket; stays the caller's
 * @param timeout_us     how long the new process may take for each of its steps, from the sockets
 *                       to "ready" and from the counters to "taken"
 * @param further_fds    open descriptors, the caller's; or NULL
 * @param n_further_fds  VOLLEY_HANDOVER_N_FDS at most; 0 for NULL
 * @return 0; or, and then this server serves on: -ETIMEDOUT; -EPIPE when the new process went away;
 *         -ECANCELED when the server was told to drain or close; -EPROTO when it says what it must
 *         not; -EPROTOTYPE for another kind of socket; -EPERM when its user is neither ours nor
 *         root; -EBUSY while another call of this is under way, or what was imported is not
 *         committed yet; -EUSERS when 32 other servers may hold some of them; -EINVAL with more
 *         than VOLLEY_HANDOVER_N_FDS further descriptors, or NULL for some; -EBADF when one of them
 *         is not open; -EMFILE; what pipe2(2) says; -EDEADLK from a worker; -ESHUTDOWN when closed;
 *         -ENOMEM
 * @threads  any but a worker
 * @blocks   up to twice timeout_us, config.drain_us and the slowest callback, on_drain among them
 * @kernel   SCM_RIGHTS, SO_COOKIE (Linux 4.12), pidfd_open(2) (Linux 5.3; without it a process that
 *           died and left a forked child is waited for)
 */
VOLLEY_API int volley_server_export_fds(struct volley_server *server, int fd, uint32_t timeout_us,
					const int *further_fds, uint32_t n_further_fds);

/**
 * The new process's first part: receive what the old one has.
 *
 * From here on volley_server_listen() takes the old one's sockets for an address where there are
 * some, port 0 those of any port of the address, and binds new ones elsewhere. There are as many as
 * the old process has; volley_server_adopt() says who serves which. Until nobody else may have them
 * they keep the options they have; their buffers may grow, and become smaller only then. That is
 * looked at when the import is committed, and at every start.
 *
 * Further descriptors that the old program gave are the caller's when this succeeds, close-on-exec,
 * whatever becomes of the hand-over afterwards; until the commit has returned 0 the old process may
 * use its copies. When this fails, none of them stays open.
 *
 * @param server             a server that is not about to import
 * @param fd                 a connected SOCK_SEQPACKET socket; stays the caller's
 * @param timeout_us         how long the old process may take to reply
 * @param ret_further_fds    room for VOLLEY_HANDOVER_N_FDS of them, in the order of the export;
 *                           untouched on failure. NULL: those that come are closed
 * @param ret_n_further_fds  how many there are; untouched on failure. NULL with the other
 * @return how many sockets there are; -EPIPE when the old process died or ends before it has sent
 *         all, and then it is over, so that its addresses can be bound; -ECANCELED when it refuses
 *         and serves on; -ETIMEDOUT; -EPROTO; -EPROTOTYPE; -EPERM; -EBUSY when an import is not
 *         committed; -EINVAL when only one of the last two is NULL; -EUSERS; -EMFILE; -EDEADLK;
 *         -ESHUTDOWN; -ENOMEM; what volley_server_adopt() returns, as for a socket that the server
 *         has already
 * @threads  any but a worker
 * @blocks   up to timeout_us
 * @kernel   as volley_server_export_fds()
 */
VOLLEY_API int volley_server_import_fds(struct volley_server *server, int fd, uint32_t timeout_us,
					int *ret_further_fds, uint32_t *ret_n_further_fds);

/**
 * The new process's second part, once it serves: tell the old one to stop reading, and carry its
 * counters over.
 *
 * 0 means that this process serves on, whatever the old one does; the log says when that is not
 * known to be gone. Its counters are carried over when it is, else the JSON's "missing_books" names
 * the hole. After -ECANCELED the old process serves on and relies on this one to end:
 * volley_server_drain() first, so that what it has served is complete, then volley_server_free(),
 * which gives its counters back. Sockets that no listener took are closed here.
 *
 * @param server      a running server that has imported
 * @param fd          the same socket
 * @param timeout_us  how long the old process may take for all of it; more than its drain_us
 * @return 0; -ECANCELED when the old process serves on; -ENOTCONN when nothing was imported;
 *         -EDEADLK; -ESHUTDOWN
 * @threads  any but a worker
 * @blocks   up to timeout_us and the slowest callback
 */
VOLLEY_API int volley_server_import_commit(struct volley_server *server, int fd,
					   uint32_t timeout_us);

/**
 * How many other servers may read this server's sockets too: a new one to which they were offered
 * and that was not heard to give up, or an old one that was not heard to be gone.
 *
 * In every doubt of a hand-over both processes serve, rather than none. Somebody should end one of
 * them then, and a program that says so now and then is heard.
 *
 * @param server  any state
 * @return the number, 0 when this server is known to be the only one; -EINVAL for NULL; -ESRCH in a
 *         child
 * @threads  any
 * @blocks   as volley_server_get_stats()
 */
VOLLEY_API int volley_server_count_sharers(struct volley_server *server);

/**
 * What was carried over from the processes before this one. It is part of the server's totals and
 * of no worker's counters: total = sum over the workers + carried.
 *
 * @param server     any state
 * @param ret_stats  `size` set by the caller
 * @return 0, or -EINVAL or -E2BIG for a size that is no struct of ours
 * @threads  any
 * @blocks   as volley_server_get_stats()
 */
VOLLEY_API int volley_server_get_carried_stats(struct volley_server *server,
					       struct volley_stats *ret_stats);

#ifdef __cplusplus
}
#endif

#endif
