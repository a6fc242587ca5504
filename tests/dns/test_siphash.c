/* SPDX-License-Identifier: MIT */

/* SipHash-2-4 against its authors' vectors: key 00..0f, messages of 0, 1, 2, ... bytes 00 01 02. */

#include <criterion/criterion.h>

#include "siphash.h"

Test(siphash, vectors)
{
	static const uint64_t want[] = { 0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a,
					 0x85676696d7fb7e2d, 0xcf2794e0277187b7, 0x18765564cd99a68d,
					 0xcbc9466e58fee3ce, 0xab0200f58b01d137, 0x93f5f5799a932462,
					 0x9e0082df0ba9e4b0 };
	uint8_t key[SIPHASH_KEY_BYTES];
	uint8_t message[16];

	for (uint8_t i = 0; i < 16; i++)
		key[i] = message[i] = i;
	for (size_t n = 0; n < sizeof want / sizeof want[0]; n++)
		cr_expect_eq(siphash(key, message, n), want[n], "%zu bytes", n);
	cr_expect_eq(siphash(key, message, 15), UINT64_C(0xa129ca6149be45e5));
}
