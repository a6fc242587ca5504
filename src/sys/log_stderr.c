/* SPDX-License-Identifier: MIT */

/*
 * The log function for programs that have none of their own. A line is one write(2), so that the
 * lines of several threads, or of several processes that share a pipe, do not mix (pipe(7): up to
 * PIPE_BUF bytes). What does not fit into it is cut, since a second write could come too late.
 */

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include <volley/config.h>

#include "base/compiler.h"
#include "sys/raw.h"

/* Sentences of ours have at most 511 bytes (base/log.c); a program may say longer ones. */
enum { LINE_BYTES = 1024 };
static_assert(LINE_BYTES <= PIPE_BUF, "a line is written whole or not at all");

static const char *const names[] = {
	[VOLLEY_LOG_ERROR] = "error",
	[VOLLEY_LOG_WARNING] = "warning",
	[VOLLEY_LOG_INFO] = "info",
};

void volley_log_stderr(enum volley_log_level level, const char *text, void *arg)
{
	char line[LINE_BYTES];
	size_t at = (size_t)level;
	int error = errno;
	int n;

	n = snprintf(line, sizeof line, "volley: %s: %s\n",
		     at < VLY_ARRAY_SIZE(names) ? names[at] : "log", text != NULL ? text : "");
	if ((size_t)n >= sizeof line) {
		n = sizeof line - 1;
		line[n - 1] = '\n';
	}
	vly_raw_write(STDERR_FILENO, line, (size_t)n); /* nobody could be told */
	errno = error;
	(void)arg;
}
