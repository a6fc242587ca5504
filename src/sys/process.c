/* SPDX-License-Identifier: MIT */

/* What a process is known by. */

#include <unistd.h>

#include "sys/process.h"

pid_t vly_process_get_id(void)
{
	return getpid();
}
