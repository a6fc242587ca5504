/* SPDX-License-Identifier: MIT */

/*
 * stop: how long volley_server_stop() takes, that is how soon a worker that sleeps in the kernel,
 * or is busy with a flood, obeys. The flood comes from a process of its own on the generator's CPU.
 * Only volley is measured: a plain loop in recvmmsg has no way to be stopped but a signal and luck.
 */

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "commands.h"
#include "common/interrupt.h"
#include "load/generator.h"
#include "output.h"
#include "subjects/volley.h"

static pid_t start_flood(const struct bench_options *options, const struct bench_load *load)
{
	struct bench_gen *gen;
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	bench_cpus_set_one(options->setting.generator_cpu);
	if (bench_gen_open(load, &gen) >= 0)
		bench_gen_run(gen, UINT64_C(600000000000));
	_exit(0);
}

static int time_stops(struct bench_volley *volley, uint32_t n, struct bench_row *row)
{
	struct bench_histogram *histogram = calloc(1, sizeof *histogram);
	struct timespec pause = { .tv_nsec = 2000000 };
	int r = histogram != NULL ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < n && r >= 0; i++) {
		uint64_t ns;

		/*
		 * Long enough that the worker is in its wait again, or up to its neck in the flood.
		 */
		nanosleep(&pause, NULL);
		r = bench_interrupt_is_pending() ? -EINTR : bench_volley_time_stop(volley, &ns);
		if (r >= 0)
			bench_histogram_add(histogram, ns);
	}
	if (r >= 0) {
		bench_row_put(row, "stops", n);
		bench_row_put(row, "p50 us", (double)bench_histogram_get(histogram, 0.5) / 1e3);
		bench_row_put(row, "p99 us", (double)bench_histogram_get(histogram, 0.99) / 1e3);
		bench_row_put(row, "max us", (double)histogram->max / 1e3);
	}
	free(histogram);
	return r;
}

static int run_mode(const struct bench_options *options, const struct bench_volley_mode *mode,
		    bool flooded, struct bench_row *row)
{
	struct bench_volley_config config = { .mode = mode,
					      .address = "127.0.0.1:0",
					      .n_workers = options->setting.n_workers,
					      .n_batch = options->setting.n_batch };
	uint32_t n = options->is_smoke ? 3 : options->n_rounds ? options->n_rounds : 300;
	struct bench_volley *volley;
	struct bench_load load;
	pid_t pid = -1;
	int r = bench_volley_start(&config, &volley);

	snprintf(row->variant, sizeof row->variant, "%s", flooded ? "flooded" : "idle");
	if (r < 0)
		return r;
	bench_options_get_load(options, &load);
	load.n_window = 0;
	load.drop_replies = true;
	bench_volley_get_addr(volley, &load.server);
	if (flooded)
		pid = start_flood(options, &load);
	r = time_stops(volley, n, row);
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	bench_volley_stop(volley);
	return r;
}

int bench_stop(const struct bench_options *options)
{
	struct bench_set set = { .kind = "stop", .title = "time of volley_server_stop()" };
	struct bench_subjects subjects;
	int r = bench_options_get_subjects(options, NULL, &subjects);

	bench_cpus_set(&options->setting.server_cpus);
	for (size_t i = 0; i < 2 * subjects.n && r >= 0; i++) {
		const struct bench_subject *subject = &subjects.all[i / 2];
		struct bench_row *row;

		if (subject->mode == NULL || subject->absent != NULL)
			continue;
		bench_output_progress(options, "stopping %s", subject->name);
		row = bench_set_add(&set, subject->name);
		r = run_mode(options, subject->mode, i % 2, row);
		if (r >= 0 || r == -EINTR)
			continue;
		bench_row_void(row, "it cannot be started or stopped: error %d", -r);
		r = options->is_smoke ? r : 0;
	}
	if (r >= 0)
		r = bench_output_deliver(options, &set);
	bench_set_fini(&set);
	return r;
}
