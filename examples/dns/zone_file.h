/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_DNS_ZONE_FILE_H
#define EXAMPLES_DNS_ZONE_FILE_H

/* Master files (RFC 1035, 5), read into a zone. */

#include "zone_build.h"

/*
 * Load a zone from a file. 0 with one user; or a negative errno, and `why` (DNS_WHY_BYTES) is a
 * sentence that names file, line and reason.
 */
int dns_zone_file_load(const char *path, const uint8_t *apex, const struct dns_hash_key *key,
		       struct dns_zone **ret_zone, char *why);

/* The same from `n` bytes of memory; $INCLUDE is refused, and errors say "text". */
int dns_zone_file_load_text(const char *text, size_t n, const uint8_t *apex,
			    const struct dns_hash_key *key, struct dns_zone **ret_zone, char *why);

/* A name as text ("example.com") in wire form, always taken as absolute. 0 or -EINVAL. */
int dns_zone_file_name(const char *text, uint8_t ret_wire[DNS_NAME_MAX]);

#endif
