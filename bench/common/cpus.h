/* SPDX-License-Identifier: MIT */
#ifndef BENCH_CPUS_H
#define BENCH_CPUS_H

#include <stdbool.h>
#include <stdint.h>

#define BENCH_CPUS_MAX 64

/* A list of CPUs, as `--server-cpus 1,2` gives it. */
struct bench_cpus {
	uint32_t n;
	int cpu[BENCH_CPUS_MAX];
};

/* The CPUs this process may use. */
void bench_cpus_get(struct bench_cpus *ret_cpus);

/* "1,2,3". 0 or -EINVAL. */
int bench_cpus_parse(const char *text, struct bench_cpus *ret_cpus);

/* Bind the calling thread to all of the list, or to one. 0 or -errno. */
int bench_cpus_set(const struct bench_cpus *cpus);
int bench_cpus_set_one(int cpu);

#endif
