/* SPDX-License-Identifier: MIT */

/* What volley_cancel_init() takes: a size-first struct. What we do not know of it must be zero. */

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "cancel/cancel_ops.h"

/* Real-time signals can fail to be sent (RLIMIT_SIGPENDING); synchronous ones mean something. */
static bool is_usable(int signo)
{
	switch (signo) {
	case SIGKILL:
	case SIGSTOP:
	case SIGSEGV:
	case SIGBUS:
	case SIGFPE:
	case SIGILL:
	case SIGTRAP:
	case SIGABRT:
		return false;
	default:
		return signo > 0 && signo < 32;
	}
}

void volley_cancel_config_init(struct volley_cancel_config *config, size_t size)
{
	if (config == NULL || size < sizeof size)
		return;
	memset(config, 0, size);
	config->size = size;
}

int vly_cancel_read_config(const struct volley_cancel_config *config,
			   struct volley_cancel_config *ret_config)
{
	struct volley_cancel_config known = { .size = sizeof known };
	const unsigned char *bytes = (const unsigned char *)config;

	if (config == NULL) {
		*ret_config = known;
		return 0;
	}
	if (config->size < sizeof config->size)
		return -EINVAL;
	for (size_t i = sizeof known; i < config->size; i++)
		if (bytes[i] != 0)
			return -E2BIG;
	memcpy(&known, config, config->size < sizeof known ? config->size : sizeof known);
	if (known.flags != 0 || (known.signo != 0 && !is_usable(known.signo)))
		return -EINVAL;
	*ret_config = known;
	return 0;
}
