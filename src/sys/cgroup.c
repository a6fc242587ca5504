/* SPDX-License-Identifier: MIT */

/*
 * A line of /proc/self/cgroup names a group of each hierarchy: "0::/a/b" of version 2,
 * "4:cpu,cpuacct:/a/b" of version 1. Where they are mounted is custom, not law, so all customary
 * places are looked at. In a container the mount may show less than the path says: then the lower
 * groups are not found and its root is, which is the container's own.
 */

#include "sys/cgroup.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sys/raw.h"
#include "sys/socket.h"

enum { PATH_BYTES = 4096, TEXT_BYTES = 8192 };

static const char *const mounts_v2[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified", NULL };
static const char *const mounts_v1[] = { "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct",
					 "/sys/fs/cgroup/cpuacct,cpu", NULL };

/* What a small file says, or nothing. */
static bool read_text(const char *path, char *text, size_t n_text)
{
	int fd = vly_raw_open(path, O_RDONLY | O_CLOEXEC);
	size_t n = 0;
	int r = 1;

	if (fd < 0)
		return false;
	while (r > 0 && n < n_text - 1) {
		r = vly_raw_read(fd, text + n, n_text - 1 - n);
		n += r > 0 ? (size_t)r : 0;
	}
	vly_socket_close(fd);
	text[n] = '\0';
	return n > 0;
}

static bool read_number(const char *dir, const char *name, long long *ret_number)
{
	char path[PATH_BYTES];
	char text[64];
	char *end;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	if (!read_text(path, text, sizeof text))
		return false;
	*ret_number = strtoll(text, &end, 10);
	return end != text;
}

/* A quota that is no number ("max") or is negative is none. */
static uint32_t divide(long long quota, long long period)
{
	long long n;

	if (quota <= 0 || period <= 0)
		return UINT32_MAX;
	n = (quota - 1) / period + 1;
	return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

static uint32_t read_v2(const char *dir)
{
	char path[PATH_BYTES];
	char text[64];
	char *quota_end;
	char *end;
	long long quota, period;

	snprintf(path, sizeof path, "%s/cpu.max", dir);
	if (!read_text(path, text, sizeof text))
		return UINT32_MAX;
	quota = strtoll(text, &quota_end, 10);
	period = strtoll(quota_end, &end, 10);
	return quota_end != text && end != quota_end ? divide(quota, period) : UINT32_MAX;
}

static uint32_t read_v1(const char *dir)
{
	long long quota, period;

	if (!read_number(dir, "cpu.cfs_quota_us", &quota) ||
	    !read_number(dir, "cpu.cfs_period_us", &period))
		return UINT32_MAX;
	return divide(quota, period);
}

/* The smallest of a group and its parents, up to the mount. */
static uint32_t walk(const char *mount, const char *group, uint32_t (*read)(const char *dir))
{
	size_t n_mount = strlen(mount);
	uint32_t least = UINT32_MAX;
	char dir[PATH_BYTES];

	if ((size_t)snprintf(dir, sizeof dir, "%s%s", mount, group) >= sizeof dir)
		return least;
	for (;;) {
		uint32_t n = read(dir);
		char *slash = strrchr(dir + n_mount, '/');

		least = n < least ? n : least;
		if (slash == NULL)
			return least;
		*slash = '\0';
	}
}

static bool has_cpu(const char *controllers)
{
	for (const char *at = controllers; at != NULL; at = strchr(at, ',')) {
		at += *at == ',';
		if (strncmp(at, "cpu", 3) == 0 && (at[3] == '\0' || at[3] == ','))
			return true;
	}
	return false;
}

/* "ID:controllers:group", which is cut into its parts. */
static uint32_t read_line(const char *root, char *line)
{
	char *controllers = strchr(line, ':');
	char *group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
	const char *const *mounts = mounts_v1;
	uint32_t least = UINT32_MAX;
	bool is_v2;

	if (group == NULL)
		return least;
	*controllers++ = '\0';
	*group++ = '\0';
	is_v2 = *controllers == '\0';
	if (is_v2)
		mounts = mounts_v2;
	else if (!has_cpu(controllers))
		return least;
	for (; *mounts != NULL; mounts++) {
		char mount[PATH_BYTES];
		uint32_t n;

		snprintf(mount, sizeof mount, "%s%s", root, *mounts);
		n = walk(mount, group, is_v2 ? read_v2 : read_v1);
		least = n < least ? n : least;
	}
	return least;
}

uint32_t vly_cgroup_get_n_cpus(const char *root)
{
	uint32_t least = UINT32_MAX;
	char path[PATH_BYTES];
	char text[TEXT_BYTES];
	char *rest = text;
	char *line;

	snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
	if (!read_text(path, text, sizeof text))
		return least;
	while ((line = strsep(&rest, "\n")) != NULL) {
		uint32_t n = read_line(root, line);

		least = n < least ? n : least;
	}
	return least;
}
