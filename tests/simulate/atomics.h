/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SIMULATE_ATOMICS_H
#define TESTS_SIMULATE_ATOMICS_H

/*
 * Put in front of each file of src/ by the compiler: every atomic operation is a point, where
 * another thread may run. What is stored is what would be; the order that a weaker CPU might give
 * it is not played.
 */

#include <stdatomic.h>

extern int world_budget;
void world_switch(void);

static inline void simulate_point(void)
{
	if (--world_budget <= 0)
		world_switch();
}

#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_exchange_explicit
#undef atomic_compare_exchange_strong_explicit
#undef atomic_compare_exchange_weak_explicit
#undef atomic_fetch_add_explicit
#undef atomic_fetch_sub_explicit
#undef atomic_fetch_or_explicit
#undef atomic_fetch_and_explicit
#undef atomic_flag_test_and_set_explicit

/* What stdatomic.h makes of them, which the names above are taken from. */
#ifdef __clang__
#define SIMULATE_ATOMIC(what)   __c11_atomic_##what
#define SIMULATE_ATOMIC_N(what) __c11_atomic_##what
#else
#define SIMULATE_ATOMIC(what)   __atomic_##what
#define SIMULATE_ATOMIC_N(what) __atomic_##what##_n
#endif

#define atomic_load_explicit(object, order) \
	(simulate_point(), SIMULATE_ATOMIC_N(load)(object, order))
#define atomic_store_explicit(object, value, order) \
	(simulate_point(), SIMULATE_ATOMIC_N(store)(object, value, order))
#define atomic_exchange_explicit(object, value, order) \
	(simulate_point(), SIMULATE_ATOMIC_N(exchange)(object, value, order))
#define atomic_fetch_add_explicit(object, value, order) \
	(simulate_point(), SIMULATE_ATOMIC(fetch_add)(object, value, order))
#define atomic_fetch_sub_explicit(object, value, order) \
	(simulate_point(), SIMULATE_ATOMIC(fetch_sub)(object, value, order))
#define atomic_fetch_or_explicit(object, value, order) \
	(simulate_point(), SIMULATE_ATOMIC(fetch_or)(object, value, order))
#define atomic_fetch_and_explicit(object, value, order) \
	(simulate_point(), SIMULATE_ATOMIC(fetch_and)(object, value, order))

#ifdef __clang__
#define atomic_flag_test_and_set_explicit(flag, order) \
	(simulate_point(), __c11_atomic_exchange(&(flag)->_Value, 1, order))
#else
#define atomic_flag_test_and_set_explicit(flag, order) \
	(simulate_point(), __atomic_test_and_set(flag, order))
#endif

#ifdef __clang__
#define SIMULATE_COMPARE(object, expected, value, is_weak, good, bad)                       \
	(simulate_point(),                                                                  \
	 (is_weak) ? __c11_atomic_compare_exchange_weak(object, expected, value, good, bad) \
		   : __c11_atomic_compare_exchange_strong(object, expected, value, good, bad))
#else
#define SIMULATE_COMPARE(object, expected, value, is_weak, good, bad) \
	(simulate_point(), __atomic_compare_exchange_n(object, expected, value, is_weak, good, bad))
#endif
#define atomic_compare_exchange_strong_explicit(object, expected, value, good, bad) \
	SIMULATE_COMPARE(object, expected, value, 0, good, bad)
#define atomic_compare_exchange_weak_explicit(object, expected, value, good, bad) \
	SIMULATE_COMPARE(object, expected, value, 1, good, bad)

#endif
