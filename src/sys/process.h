/* SPDX-License-Identifier: MIT */
#ifndef VLY_SYS_PROCESS_H
#define VLY_SYS_PROCESS_H

/* What a process is known by, and whether it is still the same one. */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* This process's number. */
pid_t vly_process_get_id(void);

/*
 * The mark of the process that made it. A child that was forked has a copy of all memory, but the
 * kernel clears the page of the mark there (MADV_WIPEONFORK, Linux 4.14), so that a look at it
 * costs no system call. getpid() costs 100 ns, and says the same in two processes of two
 * namespaces.
 */
struct vly_process {
	const _Atomic uint32_t *page; /* 1 at home, 0 in a child */
	pid_t id;
};

/* 0 or -ENOMEM. fini takes a zeroed one too. */
int vly_process_init(struct vly_process *process);
void vly_process_fini(struct vly_process *process);

/* Whether the mark was made in this process; for every call. */
static inline bool vly_process_is_here(const struct vly_process *process)
{
	return atomic_load_explicit(process->page, memory_order_relaxed) != 0;
}

/* The same for rare calls: it looks at the number as well, for kernels that clear no page. */
bool vly_process_is_home(const struct vly_process *process);

#endif
