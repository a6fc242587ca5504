/* SPDX-License-Identifier: MIT */
#ifndef VLY_SERVER_OPTIONS_H
#define VLY_SERVER_OPTIONS_H

/* Socket options of a listener. 0 or -errno, after a word to the log that names the option. */

#include "path/listener.h"

/*
 * 4 MiB holds 6,900 to 10,000 small datagrams, 10 ms at 700,000 a second; systems that allow more
 * can be told.
 */
enum { VLY_OPTIONS_BUFFER_BYTES = 4 << 20 };

/*
 * From so many listeners on, a receive buffer that nobody asked for is the system's: ten thousand
 * of 4 MiB would be promises that no machine keeps.
 */
enum { VLY_OPTIONS_N_LARGE = 64 };
bool vly_options_is_many(const struct volley_server *server);

/* Both buffers, as large as was asked for or can be had; 0: the system would not say. */
void vly_options_set_buffers(struct vly_listener *listener, int fd, uint32_t *ret_rcvbuf_bytes);

/*
 * The same while somebody else may read the socket: larger, never smaller. Gives what it will be
 * once it was set.
 */
void vly_options_grow_buffers(struct vly_listener *listener, int fd, uint32_t *ret_rcvbuf_bytes);

/* The interface that a config names: its index, 0 for none. */
int vly_options_find_device(const struct volley_server *server,
			    const struct volley_listen_config *config, uint32_t *ret_index);

/* Which interface it hears, and whether addresses of others as well; before the bind. */
int vly_options_set_reach(const struct vly_listener *listener, int fd);

/* Path MTU discovery; and control messages, those in listener->want; and error reports. */
int vly_options_set_mtu(const struct vly_listener *listener, int fd);
int vly_options_set_cmsgs(struct vly_listener *listener, int fd);
int vly_options_set_errors(struct vly_listener *listener, int fd);

/* Groups and broadcasts: what the listener's k-th socket hears of them, and may send. */
int vly_options_set_casts(const struct vly_listener *listener, int fd, uint32_t k);

/* `error` is what came of unsetting an option that somebody else may have set. */
void vly_options_clear(struct vly_listener *listener, int error);

/*
 * Have the user's on_socket look at socket k, which is open and nothing else. 0; or what it said,
 * after a word to the log, and `hook_failed` is set.
 */
int vly_options_run_hook(struct vly_listener *listener, int fd, uint32_t k);

#endif
