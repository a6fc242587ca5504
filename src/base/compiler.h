/* SPDX-License-Identifier: MIT */
#ifndef VLY_BASE_COMPILER_H
#define VLY_BASE_COMPILER_H

/* What differs between compilers and CPUs, in one place. */

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define VLY_LIKELY(x)   __builtin_expect(!!(x), 1)
#define VLY_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* Two lines, because the adjacent-line prefetcher of x86 pulls them in pairs. */
#define VLY_CACHE_LINE 64
#define VLY_ALIGNED    _Alignas(VLY_CACHE_LINE)

#define VLY_CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define VLY_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
