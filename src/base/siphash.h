/* SPDX-License-Identifier: MIT */
#ifndef VLY_BASE_SIPHASH_H
#define VLY_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

/*
 * SipHash-2-4 of whole words (Aumasson, Bernstein 2012): whoever does not know the key cannot
 * choose words that share a hash. On a little-endian machine the result is that of the words'
 * bytes.
 */
uint64_t vly_siphash_hash(const uint64_t key[2], const uint64_t *words, size_t n_words);

#endif
