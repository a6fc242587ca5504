/* SPDX-License-Identifier: MIT */

#include "memory.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/*
 * In front of what the caller gets. The world's own memory has one too, with no process, since
 * free() has to know.
 */
struct block {
	struct process *process;
	struct block *next;
	struct block **link;
	void *start; /* what the C library gave */
	size_t n;
	size_t magic;
};

#define MAGIC ((size_t)UINT64_C(0x6d656d6f72792121))

void *__real_aligned_alloc(size_t align, size_t n);
void __real_free(void *memory);
void *__real_malloc(size_t n);

void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *memory, size_t n);
void *__wrap_aligned_alloc(size_t align, size_t n);
void __wrap_free(void *memory);

static struct block *get_block(void *memory)
{
	struct block *block = (struct block *)memory - 1;

	assert(block->magic == MAGIC);
	return block;
}

static void *take(size_t align, size_t n)
{
	struct process *process = kernel_process();
	size_t before = (sizeof(struct block) + align - 1) / align * align;
	struct block *block;
	char *start;

	if (process == NULL)
		abort(); /* the world uses the real ones */
	world_point();
	if (kernel_fault("memory", 0) != 0)
		return NULL;
	if (process->most_bytes > 0 && process->n_bytes + n > process->most_bytes) {
		kernel_run_out("memory");
		return NULL;
	}
	start = __real_aligned_alloc(align, (before + n + align - 1) / align * align);
	block = (struct block *)(void *)(start + before) - 1;
	*block = (struct block){ .process = process,
				 .next = process->memory,
				 .link = &process->memory,
				 .start = start,
				 .n = n,
				 .magic = MAGIC };
	if (process->memory != NULL)
		process->memory->link = &block->next;
	process->memory = block;
	process->n_bytes += n;
	return start + before;
}

static void forget(struct block *block)
{
	*block->link = block->next;
	if (block->next != NULL)
		block->next->link = block->link;
	block->process->n_bytes -= block->n;
	block->magic = 0;
	__real_free(block->start);
}

static void forget_mappings(struct process *process);

void memory_forget(struct process *process)
{
	while (process->memory != NULL)
		forget(process->memory);
	forget_mappings(process);
}

void *__wrap_malloc(size_t n)
{
	return take(16, n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	void *memory = take(16, n * size);

	return memory != NULL ? memset(memory, 0, n * size) : NULL;
}

void *__wrap_realloc(void *memory, size_t n)
{
	void *larger = take(16, n);

	if (larger == NULL || memory == NULL)
		return larger;
	memcpy(larger, memory, get_block(memory)->n < n ? get_block(memory)->n : n);
	forget(get_block(memory));
	return larger;
}

void *__wrap_aligned_alloc(size_t align, size_t n)
{
	return take(align < 16 ? 16 : align, n);
}

void __wrap_free(void *memory)
{
	if (memory != NULL)
		forget(get_block(memory));
}

/* Mapped --------------------------------------------------------------------------------------- */

/* Of a process; beside the memory, since that is whole pages. */
struct mapping {
	struct mapping *next;
	void *start;
	size_t n;
};

void *__real_mmap64(void *at, size_t n, int access, int flags, int fd, off_t offset);
int __real_munmap(void *start, size_t n);

void *__wrap_mmap64(void *at, size_t n, int access, int flags, int fd, off_t offset);
int __wrap_munmap(void *start, size_t n);
int __wrap_madvise(void *start, size_t n, int advice);

void *__wrap_mmap64(void *at, size_t n, int access, int flags, int fd, off_t offset)
{
	struct process *process = kernel_process();
	struct mapping *mapping;

	world_point();
	if (kernel_fault("memory", 0) != 0) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	mapping = __real_malloc(sizeof *mapping);
	*mapping = (struct mapping){ .next = process->mappings, .n = n };
	mapping->start = __real_mmap64(at, n, access, flags, fd, offset);
	if (mapping->start == MAP_FAILED)
		abort();
	process->mappings = mapping;
	process->n_bytes += n;
	return mapping->start;
}

int __wrap_munmap(void *start, size_t n)
{
	struct process *process = kernel_process();

	world_point();
	for (struct mapping **link = &process->mappings; *link != NULL; link = &(*link)->next) {
		struct mapping *mapping = *link;

		if (mapping->start != start)
			continue;
		if (mapping->n != n)
			world_blame("%zu bytes of %zu are unmapped", n, mapping->n);
		*link = mapping->next;
		process->n_bytes -= mapping->n;
		__real_munmap(start, mapping->n);
		__real_free(mapping);
		return 0;
	}
	world_blame("what is unmapped is not mapped");
	return 0;
}

static void forget_mappings(struct process *process)
{
	struct mapping *next;

	for (struct mapping *mapping = process->mappings; mapping != NULL; mapping = next) {
		next = mapping->next;
		__real_munmap(mapping->start, mapping->n);
		__real_free(mapping);
	}
	process->mappings = NULL;
}

/* MADV_WIPEONFORK and MADV_NOHUGEPAGE: what is not played has no need of them. */
int __wrap_madvise(void *start, size_t n, int advice)
{
	(void)start, (void)n, (void)advice;
	return 0;
}
