/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_DNS_SIPHASH_H
#define EXAMPLES_DNS_SIPHASH_H

/* SipHash-2-4 with a 128-bit key and a 64-bit result (Aumasson, Bernstein 2012). */

#include <stddef.h>
#include <stdint.h>

enum { SIPHASH_KEY_BYTES = 16 };

uint64_t siphash(const uint8_t key[SIPHASH_KEY_BYTES], const uint8_t *data, size_t n);

#endif
