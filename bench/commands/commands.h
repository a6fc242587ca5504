/* SPDX-License-Identifier: MIT */
#ifndef BENCH_COMMANDS_H
#define BENCH_COMMANDS_H

/* The subcommands, one file each. 0 or -errno; -EINTR after Ctrl-C. */

#include "options.h"

int bench_quick(const struct bench_options *options);
int bench_all(const struct bench_options *options);
int bench_demo(const struct bench_options *options);
int bench_abba(const struct bench_options *options);
int bench_saturate(const struct bench_options *options);
int bench_knee(const struct bench_options *options);
int bench_latency(const struct bench_options *options);
int bench_overload(const struct bench_options *options);
int bench_openloop(const struct bench_options *options); /* knee, latency and overload at once */
int bench_count(const struct bench_options *options);
int bench_once(const struct bench_options *options);
int bench_null(const struct bench_options *options);
int bench_sessions(const struct bench_options *options);
int bench_stop(const struct bench_options *options);
int bench_scale(const struct bench_options *options);
int bench_report(const struct bench_options *options);
int bench_serve(const struct bench_options *options);
int bench_list(const struct bench_options *options);

#endif
