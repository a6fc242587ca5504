/* SPDX-License-Identifier: MIT */
#ifndef VLY_SYS_PROCESS_H
#define VLY_SYS_PROCESS_H

#include <sys/types.h>

/* This process's number. */
pid_t vly_process_get_id(void);

#endif
