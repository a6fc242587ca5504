/* SPDX-License-Identifier: MIT */

/* The subcommands, in the order of --help. */

#include "table.h"

#include "commands.h"

static const struct bench_command commands[] = {
	{ "quick", "the headline table, in under two minutes", bench_quick, true },
	{ "all", "every measurement, into the --out folder; takes long", bench_all, true },
	{ "demo", "volley-echo beside two plain loops, in under a minute", bench_demo, true, true },
	{ "preload", "thread CPU time per queued datagram against a baseline, ABBA", bench_abba,
	  true },
	{ "saturate", "replies per server CPU second; a core for each side", bench_saturate, true,
	  true },
	{ "knee", "the highest rate that loses at most 0.1 %", bench_knee, true, true },
	{ "latency", "open loop, percentiles at 10, 50, 70 and 90 % of the knee", bench_latency,
	  true, true },
	{ "overload", "what is still replied to at 1, 1.5, 2 and 4 times the knee", bench_overload,
	  true, true },
	{ "openloop", "knee, latency and overload, with one search for the knee", bench_openloop,
	  true, true },
	{ "count", "system calls, instructions, cache misses, allocations per datagram",
	  bench_count, true },
	{ "null", "what the library alone costs, without the kernel", bench_null, true },
	{ "sessions", "what a table of peers costs: each call, and memory", bench_sessions, true },
	{ "stop", "how long volley takes to stop, idle and flooded", bench_stop, true },
	{ "scale", "saturate over clients, payload, burst, listeners, workers", bench_scale, true,
	  true },
	{ "report", "plots and one HTML page from the JSON files of a folder", bench_report },
	{ "serve", "be one subject's echo server, until Ctrl-C", bench_serve },
	{ "once", "preloaded runs of one subject, for count to look at", bench_once },
	{ "list", "what can be measured here, and on what machine", bench_list },
};

const struct bench_command *bench_table_get(size_t i)
{
	return i < sizeof commands / sizeof commands[0] ? &commands[i] : NULL;
}
