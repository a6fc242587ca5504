/* SPDX-License-Identifier: MIT */

/*
 * once: preloaded runs of one subject with nothing around them, for `count` to run under strace and
 * callgrind. Each run stands between two marks, calls of getpgid() with a number that is no
 * process: cheap, harmless, and found in strace's log.
 */

#include "once.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "figures/preload.h"

typedef uint64_t (*count_fn)(void);

/* The counter of alloc.c when that is preloaded. */
static uint64_t count_allocations(void)
{
	void *symbol = dlsym(RTLD_DEFAULT, "bench_alloc_get");
	count_fn get;

	if (symbol == NULL)
		return 0;
	memcpy(&get, &symbol, sizeof get);
	return get();
}

/* Between the marks is the handling only; queueing the datagrams is not the server's work. */
static int run_marked(struct bench_preload *preload, uint32_t n, uint64_t *allocations)
{
	uint64_t before, cpu_ns;
	int r = bench_preload_push(preload, n);

	if (r < 0)
		return r;
	before = count_allocations();
	getpgid(BENCH_ONCE_MARK);
	r = bench_preload_handle(preload, n, &cpu_ns);
	getpgid(BENCH_ONCE_MARK);
	*allocations += count_allocations() - before;
	return r;
}

int bench_once(const struct bench_options *options)
{
	uint32_t n_rounds = options->n_rounds ? options->n_rounds : 3;
	uint32_t n_preload = options->n_preload ? options->n_preload : 1024;
	const struct bench_subject *subject;
	struct bench_subjects subjects;
	struct bench_preload preload;
	struct bench_load load;
	uint64_t allocations = 0;
	int r;

	bench_subjects_get(NULL, &subjects);
	subject = options->argument != NULL ? bench_subjects_find(&subjects, options->argument)
					    : NULL;
	if (subject == NULL || bench_subject_why_not_preloaded(subject) != NULL)
		return -EINVAL;
	bench_options_get_load(options, &load);
	load.n_burst = options->n_burst ? options->n_burst : 1;
	bench_cpus_set_one(options->setting.server_cpus.cpu[0]);
	r = bench_preload_open(subject, options->setting.n_batch, &load, &preload);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < n_rounds && r >= 0; i++)
		r = run_marked(&preload, n_preload, &allocations);
	bench_preload_close(&preload);
	printf("datagrams %llu allocations %llu\n", (unsigned long long)n_rounds * n_preload,
	       (unsigned long long)allocations);
	return r;
}
