/* SPDX-License-Identifier: MIT */
#ifndef BENCH_SETTING_H
#define BENCH_SETTING_H

/* How a run is set up, the same for every subject: the server's size, and where both sides are. */

#include <stdint.h>

#include "common/cpus.h"
#include "load/path.h"

struct bench_setting {
	uint32_t n_workers;
	uint32_t n_listeners;
	uint32_t n_batch;
	struct bench_cpus server_cpus;
	int generator_cpu;      /* -1: not given */
	struct bench_path path; /* made by main(), when options say veth */
};

#endif
