/* SPDX-License-Identifier: MIT */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

/* The command line. 0 or NULL is "not given": each subcommand has its own default then. */

#include <stdbool.h>
#include <stdint.h>

#include "common/cpus.h"
#include "figures/setting.h"
#include "load/load.h"
#include "subjects/subject.h"

struct bench_options {
	const char *command; /* the subcommand */
	char line[512];      /* the whole command line, for the record */
	const char *argument;

	const char *subjects; /* list of names */
	const char *baseline;
	const char *program; /* volley-echo */
	const char *out;     /* folder for JSON, CSV, plots */
	const char *address; /* serve */
	bool is_smoke;       /* tiny sizes: does it work, not how fast */
	bool is_json;        /* JSON instead of the table */
	bool is_quiet;
	bool wants_help; /* and nothing else of it is filled in then; likewise: */
	bool wants_version;
	bool use_gro;
	bool is_single;
	bool use_veth;

	struct bench_sizes sizes;
	uint32_t n_clients;
	uint32_t n_sockets;
	uint32_t n_burst;
	uint32_t n_window;
	double rate;
	double seconds;
	uint32_t n_rounds;
	uint32_t n_preload;
	struct bench_setting setting;
	struct bench_cpus all_cpus; /* of the process, before anything was placed */
};

/* 0 or -EINVAL after a sentence on stderr. */
int bench_options_parse(int argc, char **argv, struct bench_options *ret_options);

/*
 * The load that the options describe, with the measured defaults of measuring: 64 bytes, 16
 * clients.
 */
void bench_options_get_load(const struct bench_options *options, struct bench_load *ret_load);

/* The subjects chosen, or all of a default list. 0, or -ENOENT after a sentence on stderr. */
int bench_options_get_subjects(const struct bench_options *options, const char *default_list,
			       struct bench_subjects *ret_subjects);

#endif
