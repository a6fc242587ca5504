/* SPDX-License-Identifier: MIT */

/* The lines of volley_log_stderr(), as whoever reads stderr gets them. */

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <volley/volley.h>

static int ends[2];

/* A socket of messages: what one write gave, one read takes. */
static void setup(void)
{
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	cr_assert_eq(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
}

static void expect_line(const char *expected)
{
	char line[4096];
	ssize_t n = recv(ends[0], line, sizeof line, MSG_DONTWAIT);

	cr_assert_eq(n, (ssize_t)strlen(expected), "\"%s\" is %zd bytes", expected, n);
	cr_assert_eq(memcmp(line, expected, strlen(expected)), 0);
}

TestSuite(log_stderr, .init = setup);

Test(log_stderr, a_line_is_one_write_and_names_its_level)
{
	int unused;

	volley_log_stderr(VOLLEY_LOG_ERROR, "it did not happen", &unused);
	volley_log_stderr(VOLLEY_LOG_WARNING, "100 %s of it", NULL);
	volley_log_stderr(VOLLEY_LOG_INFO, "", NULL);
	volley_log_stderr((enum volley_log_level)7, NULL, NULL);
	expect_line("volley: error: it did not happen\n");
	expect_line("volley: warning: 100 %s of it\n");
	expect_line("volley: info: \n");
	expect_line("volley: log: \n");
	cr_assert_lt(recv(ends[0], &unused, sizeof unused, MSG_DONTWAIT), 0, "nothing else");
}

Test(log_stderr, what_is_too_long_is_cut_and_stays_a_line)
{
	char text[3000], expected[1024] = "volley: info: ";

	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	memset(expected + strlen(expected), 'x', sizeof expected - strlen(expected));
	memcpy(expected + sizeof expected - 2, "\n", 2);
	volley_log_stderr(VOLLEY_LOG_INFO, text, NULL);
	expect_line(expected);
}

Test(log_stderr, errno_stays_whatever_becomes_of_the_line)
{
	errno = ENOTTY;
	volley_log_stderr(VOLLEY_LOG_INFO, "taken", NULL);
	cr_assert_eq(errno, ENOTTY);
	expect_line("volley: info: taken\n");
	cr_assert_eq(dup2(open("/dev/full", O_WRONLY | O_CLOEXEC), STDERR_FILENO), STDERR_FILENO);
	volley_log_stderr(VOLLEY_LOG_INFO, "not taken", NULL);
	cr_assert_eq(errno, ENOTTY);
}

/* The reason for it: a second instance says why it ends. */
Test(log_stderr, a_config_takes_it)
{
	struct volley_server *server;
	char line[2048] = { 0 };

	cr_assert_eq(
		volley_server_new(VOLLEY_CONFIG(.n_workers = 1, .log = volley_log_stderr), &server),
		0);
	cr_assert_eq(volley_server_listen(server, "nowhere", NULL, NULL), -EINVAL);
	cr_assert_gt(recv(ends[0], line, sizeof line - 1, MSG_DONTWAIT), 0);
	cr_assert_eq(strncmp(line, "volley: error: ", 15), 0, "%s", line);
	cr_assert_eq(volley_server_free(server), 0);
}
