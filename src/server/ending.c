/* SPDX-License-Identifier: MIT */

/*
 * A drain, from its request to the command that has the workers end. It goes on in steps, so that
 * the thread inside run looks at its descriptors in between (run.c); any other thread takes them in
 * vly_ending_wait().
 *
 *     asked      lingers (linger.c)      the first end          all end: the command is DRAIN
 *       |---------------------------|--------------------------|-------------------|
 *                                   |<----------------- drain_us ----------------->|
 *
 * The first are the listeners that are not VOLLEY_LISTEN_DRAIN_LAST. Where all are, or none is the
 * last, one of the parts is empty. While the first end, workers are in their loops as before: they
 * only hear once a millisecond that these sockets are to be served to the end, and say whether that
 * is so, no packet is held, and no handler has one (vly_change_serve_first()). In the round in
 * which all say so, nothing can come any more that the last would have to be there for.
 */

#include "server/ending.h"

#include "path/worker.h"
#include "server/handover/sharers.h"
#include "server/linger.h"
#include "server/listener.h"
#include "server/listeners.h"
#include "server/needs.h"
#include "server/post.h"
#include "sys/clock.h"
#include "sys/poll.h"
#include "sys/socket.h"
#include "sys/wake.h"
#include "worker/change.h"
#include "worker/goodbye.h"
#include "worker/loop.h"
#include "worker/loop_fd.h"
#include "worker/turn.h"

/* How long each of the first may be served; 0: it stays. */
static void set_first_end(struct volley_server *server, uint64_t end_ns)
{
	vly_lock_take(&server->shared.lock);
	for (uint32_t i = 0; i < server->n_listeners; i++) {
		struct vly_listener *listener = vly_listeners_get(server, i);

		if (listener != NULL && !vly_listener_is_last(listener))
			vly_drain_begin_listener(listener, end_ns);
	}
	vly_lock_give(&server->shared.lock);
}

void vly_ending_clear(struct volley_server *server)
{
	vly_linger_clear(server);
	set_first_end(server, 0);
	server->ending = (struct vly_ending){ .has_first = false };
}

void vly_ending_request(struct volley_server *server, enum vly_command command)
{
	_Atomic uint32_t *own = &server->shared.command;
	uint32_t old = atomic_load_explicit(own, memory_order_relaxed);

	assert(command != VLY_COMMAND_RUN);
	while (old < command &&
	       !atomic_compare_exchange_weak_explicit(own, &old, command, memory_order_seq_cst,
						      memory_order_relaxed))
		continue;
	for (uint32_t i = 0; i < server->shared.config.n_workers; i++)
		vly_mail_cancel(&server->workers[i].mail);
}

static bool has_last(const struct volley_server *server) VLY_REQUIRES(server->listening)
{
	for (uint32_t i = 0; i < server->n_listeners; i++) {
		const struct vly_listener *listener = vly_listeners_get(server, i);

		if (listener != NULL && vly_listener_is_last(listener))
			return true;
	}
	return false;
}

/* Have sockets refuse what is new. Returns whether some are left out, which are the last. */
static bool refuse_new(struct volley_server *server, bool all)
{
	bool leaves;

	vly_listeners_lock_to_end(server);
	vly_sharers_set_ends(server, true);
	vly_sharers_settle(server);
	leaves = !all && has_last(server);
	if (leaves)
		vly_listeners_set_drop_first(server);
	else
		vly_listeners_set_drop_all(server, true);
	vly_listeners_unlock(server);
	/*
	 * Without it a datagram or two may still arrive behind the last one that a drain serves;
	 * they are then counted as discarded at close.
	 */
	vly_needs_check(server, VLY_NEED_SETTLE, vly_socket_settle(), false);
	return leaves;
}

static void begin(struct volley_server *server) VLY_REQUIRES(server->control)
{
	uint64_t late_ns = vly_linger_get_late_ns(server);

	server->ending.has_first = refuse_new(server, false);
	vly_drain_begin(&server->shared, late_ns);
	if (server->ending.has_first)
		set_first_end(server, vly_drain_get_end_ns(&server->shared));
	else
		vly_ending_request(server, VLY_COMMAND_DRAIN);
}

/* Not while a hook keeps a worker from it: then the drain's time is over anyway. */
static void ask(struct volley_server *server) VLY_REQUIRES(server->control)
{
	uint32_t n = server->shared.config.n_workers;

	server->ending.look_ns = vly_clock_get_ns() + VLY_CLOCK_LOOK_NS;
	vly_lock_take(&server->shared.lock);
	if (vly_post_is_open(server, 0, n)) {
		server->ending.has_asked = true;
		vly_lock_assume(&server->workers->shared->lock);
		vly_goodbye_send(server->workers, n, vly_change_serve_first);
	}
	vly_lock_give(&server->shared.lock);
}

/* Of the first, and of what is held. */
static bool is_served(const struct volley_server *server) VLY_REQUIRES(server->control)
{
	return server->ending.has_asked && !vly_goodbye_has_failed(&server->shared);
}

static void go_on(struct volley_server *server) VLY_REQUIRES(server->control)
{
	bool is_over = vly_drain_is_over(&server->shared);
	bool has_come = vly_goodbye_is_over(&server->shared);

	if (is_over || (has_come && is_served(server))) {
		refuse_new(server, true);
		vly_ending_request(server, VLY_COMMAND_DRAIN);
	} else if (has_come && vly_clock_get_ns() >= server->ending.look_ns) {
		ask(server);
	}
}

static bool ends(const struct volley_server *server)
{
	return vly_shared_get_command(&server->shared) >= VLY_COMMAND_DRAIN;
}

void vly_ending_process(struct volley_server *server)
{
	if (!ends(server) && !server->ending.has_first && vly_linger_has_ended(server))
		begin(server);
	if (!ends(server) && server->ending.has_first)
		go_on(server);
}

int vly_ending_get_timeout_ms(const struct volley_server *server)
{
	uint64_t now_ns = vly_clock_get_ns();
	uint64_t look_ns;

	if (ends(server) || !server->ending.has_first)
		return vly_linger_get_timeout_ms(server);
	look_ns = vly_drain_get_end_ns(&server->shared);
	if (vly_goodbye_is_over(&server->shared) && server->ending.look_ns < look_ns)
		look_ns = server->ending.look_ns;
	return look_ns > now_ns ? (int)((look_ns - now_ns + 999999) / 1000000) : 0;
}

/* The caller's loop may stand still: whoever called drain may be its thread. */
static int serve(struct volley_server *server, int timeout_ms)
{
	struct volley_worker *worker = &server->workers[0];
	int64_t ns;

	/* What a pass did not empty may be out of epoll, and the next one finds it empty. */
	if (vly_turn_process(worker) != 0)
		return 0;
	ns = vly_turn_get_timeout(worker);
	if (ns < 0 || ns / 1000000 >= timeout_ms)
		return timeout_ms;
	return (int)((ns + 999999) / 1000000);
}

void vly_ending_wait(struct volley_server *server)
{
	bool has_thread = vly_loop_has_thread(&server->shared.config);
	int poll_fd = has_thread ? -1 : vly_loop_fd_get(&server->workers[0]);
	struct pollfd fds[2] = { { .fd = server->shared.event_fd, .events = POLLIN },
				 { .fd = poll_fd, .events = POLLIN } };

	for (;;) {
		int timeout_ms;

		vly_ending_process(server);
		if (ends(server))
			return;
		timeout_ms = vly_ending_get_timeout_ms(server);
		if (!has_thread)
			timeout_ms = serve(server, timeout_ms);
		vly_poll_wait(fds, 2, timeout_ms);
		/* It may have been for run, which waits for `control`: vly_server_join() posts. */
		vly_wake_take(server->shared.event_fd);
	}
}
