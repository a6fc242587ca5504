/* SPDX-License-Identifier: MIT */
#ifndef VLY_SYS_SOCKET_H
#define VLY_SYS_SOCKET_H

/* UDP sockets. Every function returns 0, a descriptor or a count, or -errno. */

#include <stdbool.h>
#include <stdint.h>

#include <volley/addr.h>

struct sock_filter;
struct volley_allocator;

/*
 * Open a UDP socket, close-on-exec and blocking or not as asked. Nothing else is set.
 */
int vly_socket_open(int family, bool nonblocking);

void vly_socket_close(int fd);

/*
 * The index of an interface by its name. 0; -ENODEV when there is none; or why no socket could be
 * opened, which the C library does to ask for it.
 */
int vly_socket_find_interface(const char *name, uint32_t *ret_ifindex);

/*
 * Bind one socket of a group. Call for the first with `first` true and `share` as the user asked,
 * then for the others with the address the first one got. Without `share` the first one is bound
 * without SO_REUSEPORT and given it afterwards: the group works, and another process gets
 * EADDRINUSE instead of a part of the traffic.
 */
int vly_socket_bind(int fd, const struct volley_addr *addr, bool first, bool share);

int vly_socket_get_name(int fd, struct volley_addr *ret_addr);

/* A number that no other socket of this machine has had since it booted (SO_COOKIE, Linux 4.12). */
int vly_socket_get_cookie(int fd, uint64_t *ret_cookie);

/*
 * Whether somebody who held it has shut it down for reading. It still takes datagrams, but whoever
 * waits for one is woken at once, for ever.
 */
bool vly_socket_is_shut(int fd);

/* Any descriptor: programs that this one starts shall not have it. */
int vly_socket_set_cloexec(int fd);

/* Integer socket options by level and name. */
int vly_socket_set_int(int fd, int level, int name, int value);
int vly_socket_get_int(int fd, int level, int name, int *ret_value);

/*
 * Switch off what changes what sending and receiving do on a socket that somebody else has set up:
 * replies that wait for each other (UDP_CORK) or are cut up (UDP_SEGMENT), notes of the kernel's
 * that come as datagrams (IPV6_RECVPATHMTU), and what fills the error queue or the control room for
 * nobody (SO_TIMESTAMPING, SO_RXQ_OVFL). What the kernel does not know is off. 0; or -EBUSY and the
 * option's name for one that stays on.
 */
int vly_socket_reset(int fd, const char **ret_name);

enum vly_socket_buffer { VLY_SOCKET_RCVBUF, VLY_SOCKET_SNDBUF };

/*
 * Ask for a buffer of n_bytes before the kernel's doubling, by force where we may, and read back
 * what the kernel gave (halved again, so that it compares with n_bytes). `grow` leaves a buffer
 * alone that is as large already.
 */
int vly_socket_set_buffer(int fd, enum vly_socket_buffer which, uint32_t n_bytes,
			  uint32_t *ret_n_bytes);
int vly_socket_grow_buffer(int fd, enum vly_socket_buffer which, uint32_t n_bytes,
			   uint32_t *ret_n_bytes);

/*
 * SO_MEMINFO: the exact, cumulative count of messages this socket dropped (wraps at 2^32), and the
 * bytes that unread messages hold.
 */
struct vly_socket_meminfo {
	uint32_t drops;
	uint32_t rmem_bytes;
};
int vly_socket_get_meminfo(int fd, struct vly_socket_meminfo *ret_info);

/*
 * Take a bound socket out of the kernel's lookup for good: what arrives from now on finds another
 * socket or none. What is queued stays readable, and the counters, read after vly_socket_settle(),
 * are final; between reading them and closing a socket that is still looked up, a flood would add
 * to them.
 */
int vly_socket_leave(int fd);

/*
 * Attach a filter that drops all that arrives from now on (counted in SO_MEMINFO), or detach it; a
 * filter that does not drop all is left where it is.
 */
int vly_socket_set_drop_all(int fd, bool drop);

/*
 * A socket's own filter while another one stands in its place. `take` reads it, and leaves it: 0,
 * with nothing in it when there is none (or one that drops all); -EACCES for a filter that cannot
 * be read (eBPF); -ENOMEM. `give` attaches it, in the place of any other, and forgets it; 0 or
 * -errno. `free` only forgets it.
 */
struct vly_socket_filter {
	struct sock_filter *program;
	uint16_t n;
};
int vly_socket_take_filter(int fd, const struct volley_allocator *allocator,
			   struct vly_socket_filter *ret_filter);
int vly_socket_give_filter(int fd, struct vly_socket_filter *filter);
void vly_socket_free_filter(struct vly_socket_filter *filter);

/*
 * The classic program that chooses among the sockets of a group (SO_ATTACH_REUSEPORT_CBPF, Linux
 * 4.5), set by any of them, bound with SO_REUSEPORT, or before its bind while it has SO_REUSEPORT.
 * n 0: none any more, whether or not there was one (Linux 5.3). 0 or -errno, -EINVAL for a program
 * that the kernel does not take.
 */
int vly_socket_set_steering(int fd, const struct sock_filter *program, uint16_t n);

/*
 * Wait until every datagram that was past a filter before it changed, or had found a socket before
 * it left, has been queued or dropped and counted, so that a queue which is found empty afterwards
 * stays empty. Takes a grace period of the kernel's RCU, 1 to 30 ms (membarrier(2), Linux 4.3).
 * Returns 0, or -errno where that is not to be had.
 */
int vly_socket_settle(void);

/* Non-blocking single receives and sends that are not cancellation points are in sys/raw.h. */

#endif
