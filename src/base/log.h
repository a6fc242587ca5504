/* SPDX-License-Identifier: MIT */
#ifndef VLY_BASE_LOG_H
#define VLY_BASE_LOG_H

#include <volley/config.h>

/* One sentence to the user's log hook, if there is one. Any thread; never from a signal handler. */
__attribute__((format(printf, 3, 4))) void vly_log_write(const struct volley_config *config,
							 enum volley_log_level level,
							 const char *format, ...);

/* The sentence for a function of ours that ended without memory, if that is what `error` says. */
void vly_log_write_memory(const struct volley_config *config, const char *function, int error);

/* The sentence for a call of the system without which nothing works, and what to do then. */
void vly_log_write_refused(const struct volley_config *config, const char *call, int error);

#endif
