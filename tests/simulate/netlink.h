/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SIMULATE_NETLINK_H
#define TESTS_SIMULATE_NETLINK_H

#include <volley/addr.h>

#include "kernel.h"

struct file *netlink_open(void);
void netlink_close(struct file *file);
short netlink_poll(struct file *file);
void netlink_bind(struct file *file);
int netlink_sendmsg(struct file *file, const struct msghdr *msg);
int netlink_recvmsg(struct file *file, struct msghdr *msg, int flags);

/* When somebody last read a list of addresses while they changed; 0: never. */
uint64_t netlink_get_blurred_ns(void);
/* An address of the host comes or goes: everybody who listens hears of it, or is overrun. */
void netlink_tell(const struct volley_addr *addr, bool comes);

#endif
