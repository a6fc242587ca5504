/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_MDNS_ADDRS_H
#define EXAMPLES_MDNS_ADDRS_H

/* This machine's addresses and networks. */

#include <stdbool.h>
#include <stdint.h>

#include <volley/addr.h>

/* The bytes of an address, 4 or 16; 0 for what is none. */
size_t addrs_get_bytes(const struct sockaddr *addr, const uint8_t **ret_bytes);

/* Whether an address is this machine's, on whatever link: it may have two on the same one. */
bool addrs_is_own(const uint8_t *bytes, size_t len);

/* Whether a peer is in a network of this link. */
bool addrs_is_near(const struct volley_addr *peer, const char *link);

#endif
