/* SPDX-License-Identifier: MIT */
#ifndef BENCH_ONCE_H
#define BENCH_ONCE_H

/* The argument of the getpgid() calls around each run: above every pid_max. */
#define BENCH_ONCE_MARK 1987654321

#endif
