/* SPDX-License-Identifier: MIT */
#ifndef VLY_SYS_RANDOM_H
#define VLY_SYS_RANDOM_H

#include <stddef.h>

/*
 * Bytes that nobody can guess, 256 at most. 0, or the -errno with which the system refuses. Sleeps
 * only in the first moments after the machine has booted, until the kernel has some.
 */
int vly_random_read(void *bytes, size_t n_bytes);

#endif
