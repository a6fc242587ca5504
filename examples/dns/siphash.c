/* SPDX-License-Identifier: MIT */

/*
 * SipHash-2-4, as RFC 9018 asks for in server cookies. Words are little-endian whatever the
 * machine. The reference's own test vectors are in tests/dns/test_siphash.c.
 */

#include "siphash.h"

struct state {
	uint64_t a, b, c, d;
};

static uint64_t load_le(const uint8_t *p, size_t n)
{
	uint64_t word = 0;

	while (n-- > 0)
		word = word << 8 | p[n];
	return word;
}

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

uint64_t siphash(const uint8_t key[SIPHASH_KEY_BYTES], const uint8_t *data, size_t n)
{
	uint64_t k0 = load_le(key, 8);
	uint64_t k1 = load_le(key + 8, 8);
	struct state s = { k0 ^ UINT64_C(0x736f6d6570736575), k1 ^ UINT64_C(0x646f72616e646f6d),
			   k0 ^ UINT64_C(0x6c7967656e657261), k1 ^ UINT64_C(0x7465646279746573) };
	size_t left = n;

	for (; left >= 8; left -= 8, data += 8)
		take(&s, load_le(data, 8));
	take(&s, (uint64_t)n << 56 | load_le(data, left));
	s.c ^= 0xff;
	mix(&s, 4);
	return s.a ^ s.b ^ s.c ^ s.d;
}
