/* SPDX-License-Identifier: MIT */
#ifndef TESTS_LIB_PIDFD_H
#define TESTS_LIB_PIDFD_H

/*
 * For Criterion tests that need to know of another process's death: skipped where pidfd_open(2) is
 * missing, before Linux 5.3 and under valgrind 3.19.
 */

#include <unistd.h>

#include "lib/skip.h"
#include "sys/pidfd.h"

static inline void need_pidfd(void)
{
	int fd = vly_pidfd_open();

	if (fd < 0)
		skip_test("no pidfd_open(2) here");
	close(fd);
}

#endif
