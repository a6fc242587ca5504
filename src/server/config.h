/* SPDX-License-Identifier: MIT */
#ifndef VLY_SERVER_CONFIG_H
#define VLY_SERVER_CONFIG_H

#include <volley/config.h>

/* The largest UDP datagram there is, and the default of max_datagram_bytes. */
enum { VLY_CONFIG_MAX_DATAGRAM_BYTES = 65535 };

/*
 * Read the user's config: every field in range and every default filled in. 0, -EINVAL (after a
 * sentence to the config's log hook that names the field), or -E2BIG.
 */
int vly_config_read(const struct volley_config *config, struct volley_config *ret_config);

/* The same for a listener's; `server` gives defaults and the log hook. */
int vly_config_read_listen(const struct volley_config *server,
			   const struct volley_listen_config *config,
			   struct volley_listen_config *ret_config);

#endif
