/* SPDX-License-Identifier: MIT */
#ifndef VLY_SERVER_LISTENER_H
#define VLY_SERVER_LISTENER_H

/* Making a listener and its sockets; what one is stands in path/listener.h. */

#include "path/bounds.h"
#include "path/listener.h"

/* What its sockets are bound to. */
struct vly_bound vly_listener_get_bound(const struct vly_listener *listener);

/* The interface of a bound socket, or 0 where its address names that already, as a scope. */
uint32_t vly_listener_pick_device(const struct volley_addr *addr, uint32_t device_index);

/*
 * Open and bind n sockets for the address. Fills `listener` but for its index and config. `beside`:
 * another listener of this server has a part of the address. 0 or -errno, after a sentence to the
 * log that says what to do; on failure nothing stays open.
 */
int vly_listener_open(struct vly_listener *listener, const struct volley_addr *addr, bool beside,
		      uint32_t n);

/*
 * Make a listener of n sockets that are bound to `addr` already. Fills `listener` but for its index
 * and leaves the sockets as they are, for somebody else may still read them. On failure they are
 * not the listener's.
 */
int vly_listener_adopt(struct vly_listener *listener, const struct volley_addr *addr,
		       const int *fds, uint32_t n);

/* Set what the config asks for on an adopted socket, whatever it had before. 0 or -errno. */
int vly_listener_configure(struct vly_listener *listener, int fd);

/*
 * Make its sockets refuse what arrives from now on, or take it again. A filter of their own is put
 * back then. One that cannot be replaced stays, and the log says what that means.
 */
void vly_listener_set_drop_all(struct vly_listener *listener, bool drop);

/* Close its sockets, which no worker has. Free it, whose sockets are closed or somebody else's. */
void vly_listener_close_fds(struct vly_listener *listener);
void vly_listener_free(struct vly_listener *listener);

#endif
