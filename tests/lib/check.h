/* SPDX-License-Identifier: MIT */
#ifndef TESTS_LIB_CHECK_H
#define TESTS_LIB_CHECK_H

/*
 * For plain test programs (one .c file each): CHECK counts, REQUIRE counts and ends the program
 * when it fails, SKIP says why something cannot be tried here. main() ends with
 *
 *	return check_done();
 *
 * which prints "N passed, N failed" (and ", N skipped") and gives the exit code: 1 when anything
 * failed, 77 when nothing was tried, else 0. Any thread may CHECK.
 */

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static struct {
	atomic_uint n_passed;
	atomic_uint n_failed;
	atomic_uint n_skipped;
} check_counts;

static inline int check_done(void)
{
	unsigned int n_passed = atomic_load(&check_counts.n_passed);
	unsigned int n_failed = atomic_load(&check_counts.n_failed);
	unsigned int n_skipped = atomic_load(&check_counts.n_skipped);

	printf("%u passed, %u failed", n_passed, n_failed);
	if (n_skipped > 0)
		printf(", %u skipped", n_skipped);
	printf("\n");
	fflush(stdout);
	if (n_failed > 0)
		return EXIT_FAILURE;
	return n_passed == 0 ? 77 : EXIT_SUCCESS;
}

static inline int check_count(int ok, const char *file, int line, const char *what)
{
	if (ok) {
		atomic_fetch_add(&check_counts.n_passed, 1);
	} else {
		atomic_fetch_add(&check_counts.n_failed, 1);
		fprintf(stderr, "%s:%d: failed: %s\n", file, line, what);
	}
	return ok;
}

#define CHECK(condition) check_count(!!(condition), __FILE__, __LINE__, #condition)

/* Two integers; both are printed when they differ. */
#define CHECK_EQ(a, b)                                                                  \
	do {                                                                            \
		long long check_a = (long long)(a), check_b = (long long)(b);           \
                                                                                        \
		if (!check_count(check_a == check_b, __FILE__, __LINE__, #a " == " #b)) \
			fprintf(stderr, "\t%lld is not %lld\n", check_a, check_b);      \
	} while (0)

#define REQUIRE(condition)                  \
	do {                                \
		if (!CHECK(condition))      \
			exit(check_done()); \
	} while (0)

#define SKIP(reason)                                          \
	do {                                                  \
		atomic_fetch_add(&check_counts.n_skipped, 1); \
		fprintf(stderr, "skipped: %s\n", reason);     \
	} while (0)

#endif
