/* SPDX-License-Identifier: MIT */

/*
 * The log must not stop a server: its threads write it, and the reader of a pipe may be stopped,
 * stuck, or not there at all.
 *
 * O_NONBLOCK belongs to what was opened, which others have, too: the shell, say. So a pipe or a
 * terminal is opened once more, for us; a socket has MSG_DONTWAIT; and a file takes everything.
 * What cannot be opened again (it is another user's) is asked by poll(2) first, which is as good
 * unless somebody else writes to it at that very moment.
 */

#include "log.h"

#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct log {
	bool is_socket;
	bool is_asked; /* by poll(2), before each write */
	unsigned long n_lost;
};

static struct log the_log;

static ssize_t put(const struct log *log, const char *text, size_t n)
{
	struct pollfd fd = { .fd = STDERR_FILENO, .events = POLLOUT };

	if (log->is_socket)
		return send(STDERR_FILENO, text, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (log->is_asked && poll(&fd, 1, 0) <= 0)
		return -1;
	return write(STDERR_FILENO, text, n);
}

/* Always all of it: a stream that fails would keep what it has and try again. */
static ssize_t write_log(void *arg, const char *text, size_t n)
{
	struct log *log = arg;
	char lost[64];
	int n_text = snprintf(lost, sizeof lost, "(%lu lines were lost here)\n", log->n_lost);

	if (log->n_lost > 0 && put(log, lost, (size_t)n_text) == n_text)
		log->n_lost = 0;
	if (log->n_lost > 0 || put(log, text, n) < 0)
		log->n_lost++;
	return (ssize_t)n;
}

static void open_again(void)
{
	int fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	the_log.is_asked = fd < 0 || dup2(fd, STDERR_FILENO) < 0;
	if (fd >= 0)
		close(fd);
}

void log_open(void)
{
	struct stat st;
	FILE *file;

	if (fstat(STDERR_FILENO, &st) < 0)
		return;
	the_log.is_socket = S_ISSOCK(st.st_mode);
	if (S_ISFIFO(st.st_mode) || isatty(STDERR_FILENO))
		open_again();
	file = fopencookie(&the_log, "w", (cookie_io_functions_t){ .write = write_log });
	if (file == NULL)
		return;
	setvbuf(file, NULL, _IONBF, 0); /* a line is one write */
	stderr = file;
}
