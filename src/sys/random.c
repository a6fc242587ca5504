/* SPDX-License-Identifier: MIT */

/*
 * Random bytes of the kernel's. Not arc4random_buf() of libbsd, which ends the process where the
 * system has none to give. By number, because the C library's getrandom() is a cancellation point.
 */

#include "sys/random.h"

#include <assert.h>
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

/* So many come whole, whatever signals arrive (getrandom(2)). */
enum { MAX_BYTES = 256 };

int vly_random_read(void *bytes, size_t n_bytes)
{
	long r;

	assert(n_bytes <= MAX_BYTES);
	do
		r = syscall(SYS_getrandom, bytes, n_bytes, 0);
	while (r < 0 && errno == EINTR); /* only before the kernel has its first ones */
	return r < 0 ? -errno : 0;
}
