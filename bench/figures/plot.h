/* SPDX-License-Identifier: MIT */
#ifndef BENCH_PLOT_H
#define BENCH_PLOT_H

#include <jansson.h>

/*
 * Plot a result set, as bench_json_print_set() wrote it, into an SVG file by gnuplot. 0; -ENODATA
 * when there is nothing to plot; -ENOENT when gnuplot is not installed or failed.
 */
int bench_plot_write(const json_t *set, const char *path);

#endif
