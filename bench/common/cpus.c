/* SPDX-License-Identifier: MIT */

/*
 * Where threads run. A figure of two threads that share a core by accident is worth nothing, so
 * every thread of a measurement is placed.
 */

#include "cpus.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>

void bench_cpus_get(struct bench_cpus *ret_cpus)
{
	cpu_set_t set;

	ret_cpus->n = 0;
	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof set, &set) < 0)
		CPU_SET(0, &set);
	for (int i = 0; i < CPU_SETSIZE && ret_cpus->n < BENCH_CPUS_MAX; i++)
		if (CPU_ISSET(i, &set))
			ret_cpus->cpu[ret_cpus->n++] = i;
}

int bench_cpus_parse(const char *text, struct bench_cpus *ret_cpus)
{
	struct bench_cpus cpus = { 0 };

	do {
		char *end;
		long value = strtol(text, &end, 10);

		if (end == text || value < 0 || value >= CPU_SETSIZE || cpus.n == BENCH_CPUS_MAX)
			return -EINVAL;
		cpus.cpu[cpus.n++] = (int)value;
		if (*end != '\0' && *end != ',')
			return -EINVAL;
		text = *end == ',' ? end + 1 : end;
	} while (*text != '\0');
	*ret_cpus = cpus;
	return 0;
}

int bench_cpus_set(const struct bench_cpus *cpus)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (uint32_t i = 0; i < cpus->n; i++)
		CPU_SET((size_t)cpus->cpu[i], &set);
	return sched_setaffinity(0, sizeof set, &set) < 0 ? -errno : 0;
}

int bench_cpus_set_one(int cpu)
{
	struct bench_cpus one = { .n = 1, .cpu = { cpu } };

	return bench_cpus_set(&one);
}
