/* SPDX-License-Identifier: MIT */

/*
 * The way to the user's log hook. Rare events only, so formatting on the stack is fine; a sentence
 * longer than the buffer is cut.
 */

#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

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
