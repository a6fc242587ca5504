/* SPDX-License-Identifier: MIT */

/* Address text: what can be read can be written, and then reads the same; all else is refused. */

#include <errno.h>
#include <string.h>

#include <volley/addr.h>

#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct volley_addr addr = { .len = 99 };
	struct volley_addr again = { .len = 0 };
	char text[VOLLEY_ADDR_TEXT_BYTES];
	char *input = malloc(size + 1);
	int n;
	int r;

	FUZZ_CHECK(input != NULL);
	memcpy(input, data, size);
	input[size] = '\0';
	r = volley_addr_parse(input, &addr);
	if (r < 0) {
		FUZZ_CHECK(r == -EINVAL || r == -ENODEV);
		FUZZ_CHECK(addr.len == 99);
		free(input);
		return 0;
	}
	FUZZ_CHECK(r == 0 && (addr.len == sizeof addr.in || addr.len == sizeof addr.in6));
	n = volley_addr_format(&addr, text, sizeof text);
	FUZZ_CHECK(n > 0 && (size_t)n == strlen(text));
	FUZZ_CHECK(volley_addr_parse(text, &again) == 0);
	FUZZ_CHECK(memcmp(&addr, &again, sizeof addr) == 0);
	/* Too little room is said, and nothing is written behind it. */
	for (int k = 0; k <= n; k++) {
		char *small = malloc((size_t)k + (k == 0));

		FUZZ_CHECK(small != NULL);
		FUZZ_CHECK(volley_addr_format(&addr, small, (size_t)k) == -ENOSPC);
		free(small);
	}
	free(input);
	return 0;
}
