/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_DNS_NAME_H
#define EXAMPLES_DNS_NAME_H

/* A domain name, taken apart once: lower case, label by label, with a hash of every suffix. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	DNS_NAME_MAX = 255, /* bytes of a name with its root label, RFC 1035 */
	DNS_LABELS_MAX = 127,
};

/*
 * The key of the name hash, the same for all tables of a process. Of a longer name than any that is
 * to be found only the last `max_labels` labels are hashed; 0: all.
 */
struct dns_hash_key {
	uint64_t k[2];
	uint32_t max_labels;
};

struct dns_name {
	uint8_t n_bytes;                     /* with the root label, 1 to 255 */
	uint8_t n_labels;                    /* without the root label, 0 to 127 */
	uint8_t offsets[DNS_LABELS_MAX + 1]; /* of label i from the left; of the root at n_labels */
	uint32_t hashes[DNS_LABELS_MAX + 1]; /* of the name that begins with label i, if hashed */
	uint8_t bytes[DNS_NAME_MAX + 1 + 16]; /* in lower case; read in words of 8 beyond its end */
};

/*
 * Take an uncompressed name in wire form. `n` bytes may be read. Returns its length in bytes, or 0
 * when it is no name (too long, cut off, a compression pointer or another label type).
 */
size_t dns_name_take(struct dns_name *name, const uint8_t *wire, size_t n,
		     const struct dns_hash_key *key);

/* The length of an uncompressed name in wire form, or 0. */
size_t dns_name_measure(const uint8_t *wire, size_t n);

/* Whether the name that begins with label i of `name` is these bytes (lower case). */
bool dns_name_equals(const struct dns_name *name, uint32_t i, const uint8_t *bytes, size_t n);

/* The bytes from label i on. */
static inline size_t dns_name_suffix_bytes(const struct dns_name *name, uint32_t i)
{
	return (size_t)name->n_bytes - name->offsets[i];
}

static inline uint8_t dns_name_lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

/*
 * Write a name in wire form as text with a final dot, the way a master file has it. `text` has room
 * for `n_text` bytes, cut if need be, always ended.
 */
void dns_name_format(const uint8_t *wire, char *text, size_t n_text);

enum { DNS_NAME_TEXT_BYTES = 4 * DNS_NAME_MAX + 2 };

#endif
