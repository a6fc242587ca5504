/* SPDX-License-Identifier: MIT */

/* SipHash-2-4 against its authors' vectors: key 00..0f, messages 00 01 02 ... of whole words. */

#include <criterion/criterion.h>

#include "base/siphash.h"

/* Little-endian, whatever the machine. */
static uint64_t load(unsigned int first)
{
	uint64_t word = 0;

	for (unsigned int i = 8; i-- > 0;)
		word = word << 8 | (first + i);
	return word;
}

Test(siphash, vectors)
{
	static const uint64_t want[] = { 0x726fdb47dd0e0e31, 0x93f5f5799a932462, 0x3f2acc7f57c29bdb,
					 0xb8ad50c6f649af94, 0x7127512f72f27cce };
	uint64_t key[2] = { load(0), load(8) };
	uint64_t words[4];

	for (unsigned int i = 0; i < 4; i++)
		words[i] = load(8 * i);
	for (size_t n = 0; n < sizeof want / sizeof want[0]; n++)
		cr_expect_eq(vly_siphash_hash(key, words, n), want[n], "%zu words", n);
}

Test(siphash, each_half_of_the_key_counts)
{
	uint64_t word = 7;
	uint64_t is = vly_siphash_hash((uint64_t[]){ 1, 2 }, &word, 1);

	cr_assert_neq(vly_siphash_hash((uint64_t[]){ 3, 2 }, &word, 1), is);
	cr_assert_neq(vly_siphash_hash((uint64_t[]){ 1, 3 }, &word, 1), is);
}
