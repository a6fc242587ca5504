/* SPDX-License-Identifier: MIT */

#include "lib/namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

static bool enter_user(void)
{
	char uid[64];
	char gid[64];

	snprintf(uid, sizeof uid, "0 %u 1", getuid());
	snprintf(gid, sizeof gid, "0 %u 1", getgid());
	return unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0 &&
	       write_file("/proc/self/setgroups", "deny") &&
	       write_file("/proc/self/uid_map", uid) && write_file("/proc/self/gid_map", gid);
}

bool namespace_enter(void)
{
	bool ok = geteuid() == 0 ? unshare(CLONE_NEWNET) == 0 : enter_user();

	if (!ok) {
		fprintf(stderr, "no network namespace of our own: %s\n", strerror(errno));
		return false;
	}
	return namespace_run("ip link set lo up");
}

int namespace_get(void)
{
	int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		perror("/proc/thread-self/ns/net");
		abort();
	}
	return fd;
}

void namespace_set(int fd)
{
	if (setns(fd, CLONE_NEWNET) < 0) {
		perror("setns");
		abort();
	}
}

bool namespace_run(const char *format, ...)
{
	char command[512];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof command, format, args);
	va_end(args);
	if (system(command) == 0)
		return true;
	fprintf(stderr, "failed: %s\n", command);
	return false;
}

/* Two lines for each protocol: "Udp: InDatagrams NoPorts ...", "Udp: 1 0 ...". */
static uint64_t find_pair(FILE *file, const char *protocol, const char *name)
{
	size_t n = strlen(protocol);
	char names[1024];
	char values[1024];
	char *name_rest;
	char *value_rest;

	while (fgets(names, sizeof names, file) != NULL &&
	       fgets(values, sizeof values, file) != NULL) {
		char *key;
		char *value;

		if (strncmp(names, protocol, n) != 0 || names[n] != ':')
			continue;
		key = strtok_r(names, " \n", &name_rest);
		value = strtok_r(values, " \n", &value_rest);
		while (key != NULL && value != NULL && strcmp(key, name) != 0) {
			key = strtok_r(NULL, " \n", &name_rest);
			value = strtok_r(NULL, " \n", &value_rest);
		}
		if (value != NULL)
			return strtoull(value, NULL, 10);
	}
	fprintf(stderr, "/proc/net/snmp has no %s %s\n", protocol, name);
	abort();
}

/* A line each: "Udp6InDatagrams   1". */
static uint64_t find_line(FILE *file, const char *protocol, const char *name)
{
	unsigned long long value;
	char wanted[128];
	char key[128];

	snprintf(wanted, sizeof wanted, "%s6%s", protocol, name);
	while (fscanf(file, "%127s %llu", key, &value) == 2)
		if (strcmp(key, wanted) == 0)
			return value;
	return 0; /* no IPv6 here */
}

uint64_t namespace_snmp(const char *protocol, const char *name)
{
	FILE *v4 = fopen("/proc/net/snmp", "re");
	FILE *v6 = fopen("/proc/net/snmp6", "re");
	uint64_t n;

	if (v4 == NULL) {
		perror("/proc/net/snmp");
		abort();
	}
	n = find_pair(v4, protocol, name);
	fclose(v4);
	if (v6 != NULL) {
		n += find_line(v6, protocol, name);
		fclose(v6);
	}
	return n;
}
