/* SPDX-License-Identifier: MIT */
#ifndef VLY_BASE_OPTS_H
#define VLY_BASE_OPTS_H

#include <stddef.h>

/* Zero a caller's struct and set its size. Does nothing where no size fits, or there is none. */
void vly_opts_init(void *opts, size_t size);

/*
 * Read a size-first struct from a caller that may have been built against an older or a newer
 * header: what the caller does not know is zero, what we do not know must be.
 *
 * dst has n_dst bytes, the first sizeof(size_t) of which get n_dst. src may be NULL: all zero.
 * Returns 0; -EINVAL when the caller's size is below n_min (the size in the first release, which
 * includes the size field); -E2BIG when bytes beyond n_dst are set, or for a size over a page,
 * which is no struct of ours.
 */
int vly_opts_read(void *dst, size_t n_dst, size_t n_min, const void *src);

/*
 * The other direction: write our struct of n_src bytes into the caller's, whose size field says how
 * much it can take. Its size field is kept, and what we do not know is set to zero. Returns 0,
 * -EINVAL when that size is below n_min, or -E2BIG as above.
 */
int vly_opts_write(void *dst, size_t n_min, const void *src, size_t n_src);

#endif
