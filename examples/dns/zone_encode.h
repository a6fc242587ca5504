/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_DNS_ZONE_ENCODE_H
#define EXAMPLES_DNS_ZONE_ENCODE_H

/* The second half of the builder: nodes and encoded answers, laid out in one block of memory. */

#include "zone_build.h"

/* 0, or -ENOMEM. The zone has one user. */
int dns_encode_zone(struct dns_build *build, struct dns_zone **ret_zone);

#endif
