/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_DNS_RRL_H
#define EXAMPLES_DNS_RRL_H

/* Response rate limiting: how many alike answers a network of clients is sent. */

#include <volley/addr.h>

enum dns_rrl_verdict {
	DNS_RRL_SEND = 0,
	DNS_RRL_SLIP, /* send it empty and truncated: a real client comes back over TCP */
	DNS_RRL_DROP,
};

struct dns_rrl;

/*
 * `rate`: alike answers a second for a network, 1 or more; `slip`: every slip-th answer over the
 * rate is sent truncated, 0 for none. For one thread. NULL when memory is short.
 */
struct dns_rrl *dns_rrl_new(uint32_t rate, uint32_t slip, const uint8_t *key);
void dns_rrl_free(struct dns_rrl *rrl);

/* `kind` is the same for alike answers; `now` in seconds. */
enum dns_rrl_verdict dns_rrl_check(struct dns_rrl *rrl, const struct volley_addr *peer,
				   uint32_t kind, uint32_t now);

#endif
