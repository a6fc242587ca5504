/* SPDX-License-Identifier: MIT */

/*
 * Socket activation, as sd_listen_fds(3) documents it: the service manager leaves open sockets at
 * descriptors 3 and up and says how many in LISTEN_FDS, for whom in LISTEN_PID, and what they are
 * called in LISTEN_FDNAMES. Three variables are not worth a dependency.
 *
 * The variables come from whoever started us, so each is read whole or refused.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <volley/listener.h>

#include "sys/process.h"
#include "sys/socket.h"

/* By convention (SD_LISTEN_FDS_START). */
enum { FIRST_FD = 3 };

/* More than any service has; so that a mistyped number does not touch every descriptor we own. */
enum { MAX_FDS = 1024 };

/* Decimal digits and nothing else, up to max. */
static bool read_number(const char *text, unsigned long max, unsigned long *ret_number)
{
	unsigned long number = 0;

	if (*text == '\0')
		return false;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return false;
		number = number * 10 + (unsigned long)(*text - '0');
		if (number > max)
			return false;
	}
	*ret_number = number;
	return true;
}

/* The i-th of the names between colons; its length, and -1 when there are not so many. */
static int find_name(const char *names, unsigned long i, const char **ret_name)
{
	while (i-- > 0) {
		names = strchr(names, ':');
		if (names == NULL)
			return -1;
		names++;
	}
	*ret_name = names;
	return (int)strcspn(names, ":");
}

/* 1: this descriptor is called so (or any will do). 0: it is not. */
static int match_name(const char *name, unsigned long i)
{
	const char *names = getenv("LISTEN_FDNAMES");
	const char *found = NULL;
	int n;

	if (name == NULL)
		return 1;
	n = names != NULL ? find_name(names, i, &found) : -1;
	if (n < 0)
		return -EINVAL;
	return (size_t)n == strlen(name) && memcmp(found, name, (size_t)n) == 0;
}

int volley_activation_get_fds(const char *name, int *ret_fds, uint32_t n_fds)
{
	const char *pid_text = getenv("LISTEN_PID");
	const char *n_text = getenv("LISTEN_FDS");
	unsigned long pid;
	unsigned long n;
	uint32_t n_found = 0;

	if (ret_fds == NULL && n_fds > 0)
		return -EINVAL;
	if (pid_text == NULL || n_text == NULL)
		return 0;
	if (!read_number(pid_text, 1ul << 31, &pid) || !read_number(n_text, MAX_FDS, &n))
		return -EINVAL;
	if (pid != (unsigned long)vly_process_get_id())
		return 0; /* inherited from a parent for whom they were */
	for (unsigned long i = 0; i < n; i++) {
		int fd = FIRST_FD + (int)i;
		int r = vly_socket_set_cloexec(fd);

		if (r >= 0)
			r = match_name(name, i);
		if (r < 0)
			return r;
		if (r > 0 && n_found++ < n_fds)
			ret_fds[n_found - 1] = fd;
	}
	return (int)n_found;
}
