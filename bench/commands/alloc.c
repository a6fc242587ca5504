/* SPDX-License-Identifier: MIT */

/*
 * Preloaded by `count`: the C library's allocator with a counter in front. A library of its own,
 * because what is counted must include the allocations of the libraries under test, and because the
 * counter must not be there when time is measured. The counter is what it exists for; it is global
 * because malloc has no context.
 */

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))

/* The C library's own names for its allocator (glibc). */
/* NOLINTBEGIN(readability-identifier-naming) */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *mem, size_t size);
/* NOLINTEND(readability-identifier-naming) */

EXPORT void *malloc(size_t size);
EXPORT void *calloc(size_t n, size_t size);
EXPORT void *realloc(void *mem, size_t size);
EXPORT uint64_t bench_alloc_get(void);

static _Atomic uint64_t n_calls;

void *malloc(size_t size)
{
	atomic_fetch_add_explicit(&n_calls, 1, memory_order_relaxed);
	return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	atomic_fetch_add_explicit(&n_calls, 1, memory_order_relaxed);
	return __libc_calloc(n, size);
}

void *realloc(void *mem, size_t size)
{
	atomic_fetch_add_explicit(&n_calls, 1, memory_order_relaxed);
	return __libc_realloc(mem, size);
}

uint64_t bench_alloc_get(void)
{
	return atomic_load_explicit(&n_calls, memory_order_relaxed);
}
