/* SPDX-License-Identifier: MIT */

/*
 * LISTEN_FDS and its companions, as a service manager writes them and as it never would. A plain
 * program, because Criterion has descriptors of its own where these must be.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <volley/listener.h>

#include "lib/check.h"

static void set_variables(long pid, const char *n, const char *names)
{
	char text[32];

	snprintf(text, sizeof text, "%ld", pid);
	setenv("LISTEN_PID", text, 1);
	setenv("LISTEN_FDS", n, 1);
	if (names != NULL)
		setenv("LISTEN_FDNAMES", names, 1);
	else
		unsetenv("LISTEN_FDNAMES");
}

/* Descriptors 3 to 5, whatever the test program had there. */
static void put_fds(void)
{
	int fd = open("/dev/null", O_RDONLY);

	for (int i = 3; i <= 5; i++)
		if (fd != i)
			CHECK_EQ(dup2(fd, i), i);
		else
			CHECK_EQ(fcntl(fd, F_SETFD, 0), 0);
}

static void gives_what_there_is(void)
{
	int fds[8] = { 0 };

	put_fds();
	set_variables(getpid(), "3", NULL);
	CHECK_EQ(volley_activation_get_fds(NULL, fds, 8), 3);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(fds[i], 3 + i);
		CHECK(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
	}
	fds[1] = -7;
	CHECK_EQ(volley_activation_get_fds(NULL, fds, 1), 3);
	CHECK_EQ(fds[1], -7);
	CHECK_EQ(volley_activation_get_fds(NULL, NULL, 0), 3);
}

static void is_for_the_process_it_names(void)
{
	put_fds();
	set_variables(getppid(), "3", NULL);
	CHECK_EQ(volley_activation_get_fds(NULL, NULL, 0), 0);
	unsetenv("LISTEN_PID");
	CHECK_EQ(volley_activation_get_fds(NULL, NULL, 0), 0);
	set_variables(getpid(), "3", NULL);
	unsetenv("LISTEN_FDS");
	CHECK_EQ(volley_activation_get_fds(NULL, NULL, 0), 0);
}

static void knows_names(void)
{
	int fds[8] = { 0 };

	put_fds();
	set_variables(getpid(), "3", "dns:echo:dns");
	CHECK_EQ(volley_activation_get_fds("dns", fds, 8), 2);
	CHECK_EQ(fds[0], 3);
	CHECK_EQ(fds[1], 5);
	CHECK_EQ(volley_activation_get_fds("echo", fds, 8), 1);
	CHECK_EQ(fds[0], 4);
	CHECK_EQ(volley_activation_get_fds("ech", fds, 8), 0);
	CHECK_EQ(volley_activation_get_fds("", fds, 8), 0);
	set_variables(getpid(), "3", "dns::");
	CHECK_EQ(volley_activation_get_fds("", fds, 8), 2);
	set_variables(getpid(), "3", "dns:echo");
	CHECK_EQ(volley_activation_get_fds("dns", fds, 8), -EINVAL);
	set_variables(getpid(), "3", NULL);
	CHECK_EQ(volley_activation_get_fds("dns", fds, 8), -EINVAL);
}

static void refuses_what_is_malformed(void)
{
	static const char *const bad[] = { "",    " 3", "3 ", "+3",   "-3",
					   "0x3", "3,", "x",  "1025", "99999999999999999999" };

	put_fds();
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		set_variables(getpid(), bad[i], NULL);
		CHECK_EQ(volley_activation_get_fds(NULL, NULL, 0), -EINVAL);
	}
	set_variables(getpid(), "3", NULL);
	setenv("LISTEN_PID", "1e5", 1);
	CHECK_EQ(volley_activation_get_fds(NULL, NULL, 0), -EINVAL);
	set_variables(getpid(), "0", NULL);
	CHECK_EQ(volley_activation_get_fds(NULL, NULL, 0), 0);
}

static void says_when_a_descriptor_is_not_there(void)
{
	put_fds();
	close(4);
	set_variables(getpid(), "3", NULL);
	CHECK_EQ(volley_activation_get_fds(NULL, NULL, 0), -EBADF);
}

int main(void)
{
	gives_what_there_is();
	is_for_the_process_it_names();
	knows_names();
	refuses_what_is_malformed();
	says_when_a_descriptor_is_not_there();
	return check_done();
}
