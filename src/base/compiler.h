/* SPDX-License-Identifier: MIT */
#ifndef VLY_BASE_COMPILER_H
#define VLY_BASE_COMPILER_H

/* What differs between compilers and CPUs, in one place. */

#include <assert.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>

#define VLY_LIKELY(x)   __builtin_expect(!!(x), 1)
#define VLY_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* The cache line of x86-64 and of most aarch64. */
#define VLY_CACHE_LINE 64
#define VLY_ALIGNED    alignas(VLY_CACHE_LINE)

#define VLY_CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* For what hardly ever runs, beside a loop that does: so that it takes no register from that. */
#define VLY_COLD     __attribute__((cold, noinline))
#define VLY_NOINLINE __attribute__((noinline)) /* so that its caller stays small */

/* For what only asserts use: a release build has none. */
#define VLY_FOR_ASSERT __attribute__((unused))

/* The number of the lowest and of the highest bit that is set; x is not 0. */
#define VLY_LOWEST_BIT(x)  ((uint32_t)__builtin_ctzll(x))
#define VLY_HIGHEST_BIT(x) (63 - (uint32_t)__builtin_clzll(x))

#define VLY_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/*
 * What clang's -Wthread-safety checks: a type that is a lock, and functions that take it, give it
 * back, or need it. VLY_NOT_ANALYSED is for the two functions of sys/lock.c that are the lock.
 */
#ifdef __clang__
#define VLY_CAPABILITY    __attribute__((capability("lock")))
#define VLY_ACQUIRES(...) __attribute__((acquire_capability(__VA_ARGS__)))
#define VLY_RELEASES(...) __attribute__((release_capability(__VA_ARGS__)))
#define VLY_REQUIRES(...) __attribute__((requires_capability(__VA_ARGS__)))
#define VLY_TRIES(...)    __attribute__((try_acquire_capability(__VA_ARGS__)))
#define VLY_ASSUMES(...)  __attribute__((assert_capability(__VA_ARGS__)))
#define VLY_NOT_ANALYSED  __attribute__((no_thread_safety_analysis))
#else
#define VLY_CAPABILITY
#define VLY_ACQUIRES(...)
#define VLY_RELEASES(...)
#define VLY_REQUIRES(...)
#define VLY_TRIES(...)
#define VLY_ASSUMES(...)
#define VLY_NOT_ANALYSED
#endif

#endif
