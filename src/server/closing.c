/* SPDX-License-Identifier: MIT */

/*
 * How listeners end. One that goes takes the way of a whole server: its sockets refuse what is new,
 * are served until they are empty, leave the kernel's lookup, are read once more, and only then are
 * the kernel's counters read and the sockets closed. What they counted stays with the worker. The
 * index is free again.
 */

#include "server/closing.h"

#include <errno.h>

#include "path/drain.h"
#include "path/worker.h"
#include "server/call.h"
#include "server/handover/import.h"
#include "server/handover/sharers.h"
#include "server/listener.h"
#include "server/listeners.h"
#include "server/needs.h"
#include "server/steer.h"
#include "sys/clock.h"
#include "sys/socket.h"
#include "worker/change.h"

/*
 * Serve a listener's sockets to the last datagram, and send the last reply, in turns with the
 * others. Once a millisecond, for its workers serve it by themselves; this is to hear how far they
 * are.
 */
static int drain(struct volley_server *server, struct vly_listener *listener, uint64_t end_ns)
	VLY_REQUIRES(server->listening)
{
	int r = 0;

	while (vly_call_run(server, vly_change_serve, listener) < 0) {
		if (vly_clock_get_ns() >= end_ns) {
			r = -ETIME;
			break;
		}
		vly_clock_sleep_ns(VLY_CLOCK_LOOK_NS);
	}
	while (r < 0 && vly_call_run(server, vly_change_give_up, listener) < 0)
		vly_clock_sleep_ns(VLY_CLOCK_LOOK_NS); /* for callbacks that have begun */
	return r;
}

static void leave(struct volley_server *server, struct vly_listener *listener)
	VLY_REQUIRES(server->listening)
{
	vly_steer_end(listener);
	vly_call_run(server, vly_change_leave, listener);
}

/*
 * Refuse, leave, settle, count, close: in this order nothing can slip in between. A sender that had
 * found a socket before it left may still be on its way to drop a datagram there, hence the third.
 * A socket that could not leave (its address is gone) loses at most the count of what came between
 * reading and closing.
 */
static int close_listener(struct volley_server *server, struct vly_listener *listener)
	VLY_REQUIRES(server->listening)
{
	uint64_t end_ns = vly_clock_get_ns() + vly_clock_convert_us(server->shared.config.drain_us);
	int r;

	vly_listeners_end(server, listener);
	vly_drain_begin_listener(listener, end_ns);
	vly_sharers_settle(server);
	if (!vly_listener_is_shared(listener))
		vly_listener_set_drop_all(listener, true);
	vly_needs_check(server, VLY_NEED_SETTLE, vly_socket_settle(), false);
	r = drain(server, listener, end_ns);
	leave(server, listener);
	vly_needs_check(server, VLY_NEED_SETTLE, vly_socket_settle(), false);
	while (vly_call_run(server, vly_change_finish, listener) < 0)
		vly_clock_sleep_ns(VLY_CLOCK_LOOK_NS); /* for callbacks that have begun */
	vly_import_forget(server, listener->index);
	vly_listeners_forget(server, listener->index);
	vly_sharers_release(server);
	return r;
}

int volley_listener_close(struct volley_server *server, struct volley_listener listener)
{
	struct vly_listener *found;
	int r;

	if (!vly_listeners_lock(server, &r))
		return r;
	found = vly_listeners_find(server, listener);
	r = found != NULL ? close_listener(server, found) : -ESTALE;
	vly_listeners_unlock(server);
	return r;
}

void vly_closing_close_all(struct volley_server *server)
{
	struct vly_listener *listener;

	vly_import_fini(server);
	vly_sharers_settle(server);
	vly_listeners_set_drop_all(server, true);
	for (uint32_t i = 0; i < server->n_listeners; i++)
		if ((listener = vly_listeners_get(server, i)) != NULL) {
			vly_listeners_end(server, listener);
			leave(server, listener);
		}
	vly_needs_check(server, VLY_NEED_SETTLE, vly_socket_settle(), false);
	for (uint32_t i = 0; i < server->n_listeners; i++) {
		listener = vly_listeners_get(server, i);
		if (listener == NULL)
			continue;
		vly_call_run(server, vly_change_finish, listener);
		vly_lock_take(&server->shared.lock);
		listener->n_fds = 0;
		vly_lock_give(&server->shared.lock);
		listener->others = false;
	}
}

/*
 * What libevent has of a worker's thread stays: nobody knows what that was doing with it. The
 * sockets are only closed here, for whatever is done to one is done to the one that serves at home.
 */
void vly_closing_leave(struct volley_server *server)
{
	vly_lock_assume(&server->listening); /* nobody of this process has it */
	vly_import_fini(server);
	for (uint32_t i = 0; i < server->n_listeners; i++)
		if (vly_listeners_get(server, i) != NULL)
			vly_listener_close_fds(vly_listeners_get(server, i));
	vly_sharers_fini(server);
	for (uint32_t i = 0; i < server->shared.config.n_workers; i++)
		volley_cancel_unref(vly_mail_detach(&server->workers[i].mail));
}
