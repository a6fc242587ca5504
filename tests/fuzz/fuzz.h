/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

/*
 * A fuzz target is one function that aborts when something is wrong. libFuzzer calls it with the
 * inputs that it makes up (meson option `fuzz`, clang), and replay.c with those that are kept.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_CHECK(condition)                                                           \
	do {                                                                            \
		if (!(condition)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                        \
		}                                                                       \
	} while (0)

/* The next bytes of an input, zeros behind its end. */
struct fuzz_input {
	const uint8_t *data;
	size_t size;
};

static inline uint32_t fuzz_take(struct fuzz_input *input, unsigned int n_bytes)
{
	uint32_t value = 0;

	for (; n_bytes > 0 && input->size > 0; n_bytes--, input->size--)
		value = value << 8 | *input->data++;
	return value;
}

#endif
