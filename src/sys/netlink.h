/* SPDX-License-Identifier: MIT */
#ifndef VLY_SYS_NETLINK_H
#define VLY_SYS_NETLINK_H

/*
 * The addresses of this machine's interfaces, and notices of their changes: rtnetlink(7). Nothing
 * here sleeps: the kernel has replied when a request was sent. 0 or -errno.
 */

#include <stdbool.h>
#include <stdint.h>

#include <volley/addr.h>

/*
 * A socket that hears of changes from now on; *ret_hears is false where that is not allowed, and
 * then it can only be asked.
 */
int vly_netlink_open(int *ret_fd, bool *ret_hears);
void vly_netlink_close(int fd);

/* Whether anything has changed since the last call; notices that were lost count as a change. */
bool vly_netlink_has_changed(int fd);

/* A list comes in parts. Everything of it is read before the next one is asked for. */
enum { VLY_NETLINK_N_ADDRS = 256 };
struct vly_netlink_part {
	struct volley_addr addrs[VLY_NETLINK_N_ADDRS]; /* port 0; fe80::/10 with its interface */
	uint32_t n;
	bool is_last;
	bool is_old; /* something changed while the list was read: read it again */
};

/* Ask for the list of all addresses of interfaces, and take its next part. */
int vly_netlink_request(int fd);
int vly_netlink_recv(int fd, struct vly_netlink_part *ret_part);

#endif
