/* SPDX-License-Identifier: MIT */

/* CPU quotas of control groups of both versions, in a folder that stands for the root. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sys/cgroup.h"

static char root[] = "/tmp/volley-cgroup-XXXXXX";

/* A file below the root, with its folder. */
static void put(const char *path, const char *text)
{
	char whole[256];
	char folder[512];
	FILE *file;

	snprintf(whole, sizeof whole, "%s%s", root, path);
	snprintf(folder, sizeof folder, "mkdir -p \"$(dirname %s)\"", whole);
	cr_assert_eq(system(folder), 0);
	file = fopen(whole, "we");
	cr_assert_not_null(file);
	fputs(text, file);
	fclose(file);
}

static void open_root(void)
{
	cr_assert_not_null(mkdtemp(root));
}

static void close_root(void)
{
	char command[64];

	snprintf(command, sizeof command, "rm -r %s", root);
	if (system(command) != 0)
		abort();
}

TestSuite(cgroup, .init = open_root, .fini = close_root);

Test(cgroup, without_files_there_is_no_quota)
{
	cr_assert_eq(vly_cgroup_get_n_cpus(root), UINT32_MAX);
	put("/proc/self/cgroup", "0::/a\n4:cpu:/b\nnonsense\n5:memory:/c\n");
	cr_assert_eq(vly_cgroup_get_n_cpus(root), UINT32_MAX);
	put("/sys/fs/cgroup/a/cpu.max", "max 100000\n");
	put("/sys/fs/cgroup/cpu/b/cpu.cfs_quota_us", "-1\n");
	put("/sys/fs/cgroup/cpu/b/cpu.cfs_period_us", "100000\n");
	put("/sys/fs/cgroup/memory/c/cpu.max", "1 100000\n");
	cr_assert_eq(vly_cgroup_get_n_cpus(root), UINT32_MAX);
}

Test(cgroup, version_2_the_smallest_of_all_parents_rounded_up)
{
	put("/proc/self/cgroup", "0::/a/b/c\n");
	put("/sys/fs/cgroup/a/b/c/cpu.max", "350000 100000\n");
	cr_assert_eq(vly_cgroup_get_n_cpus(root), 4);
	put("/sys/fs/cgroup/a/cpu.max", "200000 100000\n");
	cr_assert_eq(vly_cgroup_get_n_cpus(root), 2);
	put("/sys/fs/cgroup/cpu.max", "50000 100000\n");
	cr_assert_eq(vly_cgroup_get_n_cpus(root), 1);
}

Test(cgroup, version_1_wherever_it_is_mounted)
{
	put("/proc/self/cgroup", "3:cpuset:/\n4:cpu,cpuacct:/docker/1234\n0::/\n");
	put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "250000\n"); /* the container's root */
	put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
	cr_assert_eq(vly_cgroup_get_n_cpus(root), 3);
	put("/sys/fs/cgroup/unified/cpu.max", "100001 100000\n");
	cr_assert_eq(vly_cgroup_get_n_cpus(root), 2);
}

Test(cgroup, bad_numbers_are_no_quota)
{
	put("/proc/self/cgroup", "0::/a\n");
	put("/sys/fs/cgroup/a/cpu.max", "100000 0\n");
	cr_assert_eq(vly_cgroup_get_n_cpus(root), UINT32_MAX);
	put("/sys/fs/cgroup/a/cpu.max", "100000\n");
	cr_assert_eq(vly_cgroup_get_n_cpus(root), UINT32_MAX);
	put("/sys/fs/cgroup/a/cpu.max", "9223372036854775807 1\n");
	cr_assert_eq(vly_cgroup_get_n_cpus(root), UINT32_MAX);
}
