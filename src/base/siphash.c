/* SPDX-License-Identifier: MIT */

/*
 * SipHash-2-4, for tables whose keys strangers choose. Two rounds for each word and four at the end
 * are what its authors propose. One and three would save an address a few nanoseconds, where one
 * miss of the cache costs a hundred, and the argument why that is enough would be ours to make. The
 * authors' own vectors are in tests/unit/base/test_siphash.c.
 */

#include "base/siphash.h"

struct state {
	uint64_t a, b, c, d;
};

static uint64_t rotate(uint64_t x, unsigned int n)
{
	return x << n | x >> (64 - n);
}

static void mix(struct state *s, unsigned int n_rounds)
{
	while (n_rounds-- > 0) {
		s->a += s->b;
		s->b = rotate(s->b, 13) ^ s->a;
		s->a = rotate(s->a, 32);
		s->c += s->d;
		s->d = rotate(s->d, 16) ^ s->c;
		s->a += s->d;
		s->d = rotate(s->d, 21) ^ s->a;
		s->c += s->b;
		s->b = rotate(s->b, 17) ^ s->c;
		s->c = rotate(s->c, 32);
	}
}

static void take(struct state *s, uint64_t word)
{
	s->d ^= word;
	mix(s, 2);
	s->a ^= word;
}

uint64_t vly_siphash_hash(const uint64_t key[2], const uint64_t *words, size_t n_words)
{
	struct state s = {
		key[0] ^ UINT64_C(0x736f6d6570736575),
		key[1] ^ UINT64_C(0x646f72616e646f6d),
		key[0] ^ UINT64_C(0x6c7967656e657261),
		key[1] ^ UINT64_C(0x7465646279746573),
	};

	for (size_t i = 0; i < n_words; i++)
		take(&s, words[i]);
	take(&s, (uint64_t)n_words * sizeof(uint64_t) << 56); /* the length, and no bytes left */
	s.c ^= 0xff;
	mix(&s, 4);
	return s.a ^ s.b ^ s.c ^ s.d;
}
