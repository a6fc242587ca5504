/* SPDX-License-Identifier: MIT */

/* What a process is known by. */

#include "sys/process.h"

#include <unistd.h>

pid_t vly_process_get_id(void)
{
	return getpid();
}
