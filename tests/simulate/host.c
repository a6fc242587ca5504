/* SPDX-License-Identifier: MIT */

/* What the library asks the C library about where it runs; and what it never calls on the way. */

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel.h"

char *__wrap_getenv(const char *name);
uid_t __wrap_geteuid(void);
unsigned int __wrap_if_nametoindex(const char *name);
char *__wrap_if_indextoname(unsigned int index, char *ret_name);
int __wrap_fstat64(int fd, struct stat *ret_stat);
ssize_t __wrap_recv(int fd, void *data, size_t n, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t n, int flags);
int __wrap_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags);

static const char *const interfaces[] = { "lo", "link1", "link2" };
enum { N_INTERFACES = 3 };

char *__wrap_getenv(const char *name)
{
	(void)name;
	return NULL;
}

uid_t __wrap_geteuid(void)
{
	return 0;
}

unsigned int __wrap_if_nametoindex(const char *name)
{
	for (unsigned int i = 0; i < N_INTERFACES; i++)
		if (strcmp(interfaces[i], name) == 0)
			return i + 1;
	errno = ENODEV;
	return 0;
}

char *__wrap_if_indextoname(unsigned int index, char *ret_name)
{
	if (index == 0 || index > N_INTERFACES) {
		errno = ENXIO;
		return NULL;
	}
	snprintf(ret_name, IF_NAMESIZE, "%s", interfaces[index - 1]);
	return ret_name;
}

int __wrap_fstat64(int fd, struct stat *ret_stat)
{
	struct file *file = kernel_get(fd);

	world_point();
	if (file == NULL) {
		errno = EBADF;
		return -1;
	}
	*ret_stat = (struct stat){ .st_dev = 1, .st_ino = file->number };
	return 0;
}

/* The engine moves messages only: these are for those who use libvolley-cancel alone. */

ssize_t __wrap_recv(int fd, void *data, size_t n, int flags)
{
	(void)fd, (void)data, (void)n, (void)flags;
	abort();
}

ssize_t __wrap_send(int fd, const void *data, size_t n, int flags)
{
	(void)fd, (void)data, (void)n, (void)flags;
	abort();
}

int __wrap_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	(void)fd, (void)addr, (void)len, (void)flags;
	abort();
}
