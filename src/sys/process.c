/* SPDX-License-Identifier: MIT */

/* What a process is known by. */

#include "sys/process.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

/* The smallest that there is; the kernel takes no less than a page, whatever its size. */
enum { PAGE_BYTES = 4096 };

pid_t vly_process_get_id(void)
{
	return getpid();
}

int vly_process_init(struct vly_process *process)
{
	_Atomic uint32_t *page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return -ENOMEM;
	madvise(page, PAGE_BYTES, MADV_WIPEONFORK); /* without it vly_process_is_home() knows */
	atomic_init(page, 1);
	*process = (struct vly_process){ .page = page, .id = vly_process_get_id() };
	return 0;
}

void vly_process_fini(struct vly_process *process)
{
	if (process->page != NULL)
		munmap((void *)(uintptr_t)process->page, PAGE_BYTES);
	*process = (struct vly_process){ 0 };
}

bool vly_process_is_home(const struct vly_process *process)
{
	return vly_process_is_here(process) && process->id == vly_process_get_id();
}
