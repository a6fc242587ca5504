/* SPDX-License-Identifier: MIT */
#ifndef VLY_SYS_ADDR_H
#define VLY_SYS_ADDR_H

#include <volley/addr.h>

/* An address as a socket of `family` wants it: IPv4 is mapped for IPv6. -EINVAL otherwise. */
int vly_addr_convert(const struct volley_addr *addr, int family, struct volley_addr *ret_addr);

/* Spread addresses with their ports evenly over 32 bits; the high bits are the better ones. */
uint32_t vly_addr_hash(const struct volley_addr *addr);

#endif
