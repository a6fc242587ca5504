/* SPDX-License-Identifier: MIT */

/*
 * By default there are no more workers than the CPU quota of the process's control groups comes to,
 * and an info line says why. The files of the groups are the test's own, in a mount namespace.
 */

#include "promise.h"

#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <volley/volley.h>

static unsigned int n_told;

static void on_log(enum volley_log_level level, const char *text, void *arg)
{
	(void)arg;
	n_told += level == VOLLEY_LOG_INFO && strstr(text, "quota") != NULL;
}

static void put(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");

	REQUIRE(file != NULL);
	fputs(text, file);
	fclose(file);
}

static uint32_t count_workers(void)
{
	struct volley_server *server;
	uint32_t n;

	REQUIRE(volley_server_new(VOLLEY_CONFIG(.log = on_log), &server) == 0);
	n = volley_server_get_n_workers(server);
	CHECK(volley_server_free(server) == 0);
	return n;
}

int main(void)
{
	promise_begin(5);
	if (unshare(CLONE_NEWNS) < 0 || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", "/sys/fs/cgroup", "tmpfs", 0, NULL) < 0) {
		SKIP("no mounts of our own here");
		return check_done();
	}
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2 || count_workers() < 2) {
		SKIP("one CPU has no less than one worker");
		return check_done();
	}
	CHECK_EQ(n_told, 0);
	REQUIRE(mkdir("/sys/fs/cgroup/cpu", 0755) == 0);
	put("/sys/fs/cgroup/cpu.max", "50000 100000\n");
	put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "50000\n");
	put("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
	CHECK_EQ(count_workers(), 1);
	CHECK_EQ(n_told, 1);
	return check_done();
}
