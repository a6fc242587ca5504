/* SPDX-License-Identifier: MIT */
#ifndef VLY_SYS_CGROUP_H
#define VLY_SYS_CGROUP_H

/* How much of the CPUs the control groups of this process leave it: cgroups(7). */

#include <stdint.h>

/*
 * CPUs' worth of time, rounded up: the smallest quota of all groups from this process's to the
 * root, of version 1 (cpu.cfs_quota_us) and 2 (cpu.max). UINT32_MAX where there is none. `root`
 * stands in front of every path: "" but for tests.
 */
uint32_t vly_cgroup_get_n_cpus(const char *root);

#endif
