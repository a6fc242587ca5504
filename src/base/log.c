/* SPDX-License-Identifier: MIT */

/*
 * The way to the user's log hook. Rare events only, so formatting on the stack is fine; a sentence
 * longer than the buffer is cut.
 */

#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include <volley/error.h>

void vly_log_write(const struct volley_config *config, enum volley_log_level level,
		   const char *format, ...)
{
	char text[512];
	va_list args;

	if (config->log == NULL)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	config->log(level, text, config->arg);
}

static const char *get_advice(int error)
{
	switch (error < 0 ? -error : error) {
	case EMFILE:
	case ENFILE:
		return "too many open files: raise `ulimit -n` or use fewer workers";
	case ENOMEM:
	case EAGAIN:
		return "give it more memory or threads (`ulimit -a`, the cgroup's limits), or use "
		       "fewer workers";
	default:
		return "nothing works without it: have the filter of system calls or the sandbox "
		       "allow it";
	}
}

void vly_log_write_memory(const struct volley_config *config, const char *function, int error)
{
	if (error == -ENOMEM)
		vly_log_write(config, VOLLEY_LOG_ERROR, "%s: there is no memory: %s", function,
			      get_advice(error));
}

void vly_log_write_refused(const struct volley_config *config, const char *call, int error)
{
	vly_log_write(config, VOLLEY_LOG_ERROR, "%s is refused (%s): %s", call,
		      volley_error_name(error), get_advice(error));
}
