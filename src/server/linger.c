/* SPDX-License-Identifier: MIT */

/*
 * Workers that linger have on_drain among their mail and serve as before, but that no callback
 * begins when linger_us and drain_us are over: a pass of slow ones is cut short then. Whoever
 * drains keeps the time (ending.c).
 *
 *     asked          all serve as before        drain_us: what is queued
 *       |--on_drain----------------------------|-----------------------|
 *       |<------------- linger_us ------------>|
 *
 * The drain begins when linger_us are over and on_drain has returned everywhere, so that its
 * goodbyes leave before anything is refused. A worker that comes late to its hook, because of a
 * callback, takes of drain_us: the end of it all stays where it is.
 */

#include "server/linger.h"

#include "path/worker.h"
#include "server/listeners.h"
#include "server/post.h"
#include "sys/clock.h"
#include "worker/goodbye.h"

void vly_linger_clear(struct volley_server *server)
{
	assert(vly_goodbye_is_over(&server->shared));
	vly_drain_clear(&server->shared);
	server->linger.end_ns = 0;
	vly_lock_take(&server->shared.lock);
	server->linger.has_told = false;
	vly_lock_give(&server->shared.lock);
}

void vly_linger_post(struct volley_server *server)
{
	uint32_t n = server->shared.config.n_workers;

	if (server->shared.config.on_drain == NULL)
		return;
	vly_lock_take(&server->shared.lock);
	if (!server->linger.has_told && vly_post_is_open(server, 0, n)) {
		server->linger.has_told = true;
		vly_lock_assume(&server->workers->shared->lock);
		vly_goodbye_send(server->workers, n, vly_goodbye_run_hook);
	}
	vly_lock_give(&server->shared.lock);
}

static bool has_listeners(struct volley_server *server)
{
	bool has;

	vly_lock_take(&server->shared.lock);
	has = vly_listeners_count(server) > 0;
	vly_lock_give(&server->shared.lock);
	return has;
}

static uint64_t get_drain_ns(const struct volley_server *server)
{
	return vly_clock_convert_us(server->shared.config.drain_us);
}

static bool is_asked(const struct volley_server *server) VLY_REQUIRES(server->control)
{
	return server->linger.end_ns != 0 &&
	       vly_shared_get_command(&server->shared) < VLY_COMMAND_DRAIN;
}

void vly_linger_begin(struct volley_server *server)
{
	uint64_t now_ns = vly_clock_get_ns();
	uint64_t linger_ns = vly_clock_convert_us(server->shared.config.linger_us);

	if (server->linger.end_ns != 0 ||
	    vly_shared_get_command(&server->shared) != VLY_COMMAND_RUN)
		return;
	if (has_listeners(server))
		server->linger.end_ns = now_ns + linger_ns;
	else
		server->linger.end_ns = now_ns;
	vly_linger_post(server);
	vly_drain_set_lingers(&server->shared, server->linger.end_ns + get_drain_ns(server));
}

/* When it begins at the latest for what is known now. */
static uint64_t get_end_ns(const struct volley_server *server) VLY_REQUIRES(server->control)
{
	return server->linger.end_ns +
	       (vly_goodbye_is_over(&server->shared) ? 0 : get_drain_ns(server));
}

bool vly_linger_has_ended(const struct volley_server *server)
{
	return is_asked(server) && vly_clock_get_ns() >= get_end_ns(server);
}

int vly_linger_get_timeout_ms(const struct volley_server *server)
{
	uint64_t now_ns = vly_clock_get_ns();
	uint64_t end_ns;

	if (!is_asked(server))
		return -1;
	end_ns = get_end_ns(server);
	/* Rounded up: a millisecond early would find nothing to do and come back. */
	return end_ns > now_ns ? (int)((end_ns - now_ns + 999999) / 1000000) : 0;
}

uint64_t vly_linger_get_late_ns(const struct volley_server *server)
{
	uint64_t now_ns = vly_clock_get_ns();
	uint64_t end_ns = server->linger.end_ns;

	/* So late is every bound, and whoever waits by the clock of poll(2). */
	return now_ns > end_ns + VLY_CLOCK_LOOK_NS ? now_ns - end_ns : 0;
}
