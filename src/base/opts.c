/* SPDX-License-Identifier: MIT */

/*
 * Size-first structs. A caller says how large its struct is; the parts both sides know are copied,
 * what only we know is zero, and what only the caller knows must be zero, or it asks for something
 * that we would silently not do. The size field itself is never copied across: each side keeps its
 * own.
 */

#include "base/opts.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/*
 * No struct of ours comes near a page. A larger size is stack garbage in a field that nobody set,
 * and looking for set bytes that far away would crash instead of saying so.
 */
#define MAX_BYTES 4096

static bool is_zero(const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (bytes[i] != 0)
			return false;
	return true;
}

static size_t get_size(const void *opts)
{
	size_t size;

	memcpy(&size, opts, sizeof size);
	return size;
}

void vly_opts_init(void *opts, size_t size)
{
	if (opts == NULL || size < sizeof size)
		return;
	memset(opts, 0, size);
	memcpy(opts, &size, sizeof size);
}

int vly_opts_read(void *dst, size_t n_dst, size_t n_min, const void *src)
{
	const uint8_t *from = src;
	size_t n_src, n_both;

	if (src == NULL) {
		memset(dst, 0, n_dst);
		memcpy(dst, &n_dst, sizeof n_dst);
		return 0;
	}
	n_src = get_size(src);
	if (n_src < n_min)
		return -EINVAL;
	if (n_src > MAX_BYTES)
		return -E2BIG;
	if (n_src > n_dst && !is_zero(from + n_dst, n_src - n_dst))
		return -E2BIG;
	n_both = n_src < n_dst ? n_src : n_dst;
	memset(dst, 0, n_dst);
	memcpy(dst, from, n_both);
	memcpy(dst, &n_dst, sizeof n_dst);
	return 0;
}

int vly_opts_write(void *dst, size_t n_min, const void *src, size_t n_src)
{
	const uint8_t *from = src;
	uint8_t *to = dst;
	size_t n_dst, n_both;

	if (dst == NULL)
		return -EINVAL;
	n_dst = get_size(dst);
	if (n_dst < n_min)
		return -EINVAL;
	if (n_dst > MAX_BYTES)
		return -E2BIG;
	n_both = n_src < n_dst ? n_src : n_dst;
	memcpy(to + sizeof n_dst, from + sizeof n_dst, n_both - sizeof n_dst);
	memset(to + n_both, 0, n_dst - n_both);
	return 0;
}
