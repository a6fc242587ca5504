/* SPDX-License-Identifier: MIT */

/*
 * The set of a server's listeners. Each has an index, one that is free when it comes.
 *
 * `listening` is held from the beginning of a change to its end, and by whoever starts workers or
 * closes their sockets. A worker's sockets are its own while it runs, so a change is carried to it
 * (call.c) and happens between two volleys (worker/change.c). listen.c and adopt.c make listeners,
 * closing.c ends them.
 */

#include "server/listeners.h"

#include <errno.h>

#include "base/log.h"
#include "base/mem.h"
#include "server/call.h"
#include "server/config.h"
#include "server/inside.h"
#include "server/listener.h"
#include "server/options.h"
#include "server/steer.h"
#include "sys/clock.h"
#include "sys/socket.h"
#include "worker/change.h"

/* The one thing that servers share: an id stands for one listener in the whole process. */
static _Atomic uint64_t last_serial;

/* The set begins with room for so many, and doubles. */
enum { FIRST_ROOM = 8 };

static int find_obstacle(struct volley_server *server)
{
	int r = 0;

	vly_lock_take(&server->shared.lock);
	if (server->state == VLY_SERVER_CLOSED)
		r = -ESHUTDOWN;
	else if (server->exporting)
		r = -EBUSY;
	vly_lock_give(&server->shared.lock);
	return r;
}

bool vly_listeners_lock(struct volley_server *server, int *ret_error)
{
	*ret_error = vly_inside_check_home(server, "listen, adopt, close");
	if (*ret_error >= 0 && vly_inside_is_worker(server))
		*ret_error = -EDEADLK;
	if (*ret_error < 0)
		return false;
	vly_lock_take(&server->listening);
	*ret_error = find_obstacle(server);
	if (*ret_error >= 0)
		return true;
	vly_lock_give(&server->listening);
	return false;
}

static bool is_exporting(struct volley_server *server)
{
	bool is;

	vly_lock_take(&server->shared.lock);
	is = server->exporting;
	vly_lock_give(&server->shared.lock);
	return is;
}

/* Have a hand-over end, and wait until it has. */
static void end_export(struct volley_server *server)
{
	vly_lock_take(&server->shared.lock);
	while (server->exporting) {
		atomic_store_explicit(&server->export_abort, true, memory_order_relaxed);
		vly_cond_wait(&server->shared.changed, &server->shared.lock);
	}
	vly_lock_give(&server->shared.lock);
}

void vly_listeners_lock_to_end(struct volley_server *server)
{
	vly_lock_take(&server->listening);
	while (is_exporting(server)) {
		vly_lock_give(&server->listening); /* which the hand-over needs to end */
		end_export(server);
		vly_lock_take(&server->listening);
	}
}

void vly_listeners_unlock(struct volley_server *server)
{
	vly_lock_give(&server->listening);
}

/* The set -------------------------------------------------------------------------------------- */

struct vly_listener *vly_listeners_get(const struct volley_server *server, uint32_t listener_index)
{
	return listener_index < server->n_listeners ? server->listeners[listener_index] : NULL;
}

struct vly_listener *vly_listeners_find(const struct volley_server *server,
					struct volley_listener listener)
{
	struct vly_listener *found = vly_listeners_get(server, VLY_LISTENER_INDEX(listener.id));

	return found != NULL && found->id == listener.id ? found : NULL;
}

uint32_t vly_listeners_count(const struct volley_server *server)
{
	return server->n_in_set;
}

static uint32_t count_sockets(const struct volley_server *server)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < server->n_listeners; i++)
		if (server->listeners[i] != NULL && server->listeners[i]->n_fds > n)
			n = server->listeners[i]->n_fds;
	return n;
}

/* Room for an index. With the shared lock, for those who look at the set. */
static int make_room(struct volley_server *server, uint32_t listener_index)
{
	uint32_t n = server->n_listeners_room > 0 ? 2 * server->n_listeners_room : FIRST_ROOM;
	struct vly_listener **larger;

	if (listener_index < server->n_listeners_room)
		return 0;
	vly_lock_take(&server->shared.lock);
	larger = vly_mem_grow(server->shared.config.allocator, server->listeners,
			      server->n_listeners_room, n, sizeof(struct vly_listener *));
	if (larger != NULL) {
		server->listeners = larger;
		server->n_listeners_room = n;
	}
	vly_lock_give(&server->shared.lock);
	return larger != NULL ? 0 : -ENOMEM;
}

static void set_listener(struct volley_server *server, uint32_t listener_index,
			 struct vly_listener *listener)
{
	vly_lock_take(&server->shared.lock);
	server->n_in_set += listener != NULL ? 1 : -1u;
	server->listeners[listener_index] = listener;
	if (listener_index >= server->n_listeners)
		server->n_listeners = listener_index + 1;
	if (listener != NULL && listener->coalesces_in)
		server->coalesces = true;
	vly_lock_give(&server->shared.lock);
}

/* The wait strategy `block` sleeps in one socket, and has no place to wait for anything else. */
static const char *find_block_problem(const struct volley_config *config, uint32_t n_listeners,
				      uint32_t n_sockets)
{
	if (config->wait != VOLLEY_WAIT_BLOCK)
		return NULL;
	if (config->n_handlers > 0)
		return "sleeps in its socket and cannot wait for handlers too";
	if (n_listeners > 1)
		return "has one socket to sleep in, but there are several listeners";
	if (n_sockets > config->n_workers)
		return "has one socket to sleep in, but a listener has more sockets than there are "
		       "workers";
	return NULL;
}

static int check(const struct volley_server *server, const char *what, uint32_t n_listeners,
		 uint32_t n_sockets)
{
	const struct volley_config *config = &server->shared.config;
	const char *problem = find_block_problem(config, n_listeners, n_sockets);

	if (problem == NULL)
		return 0;
	vly_log_write(config, VOLLEY_LOG_ERROR, "%s: the wait strategy `block` %s: use `event`",
		      what, problem);
	return -EINVAL;
}

int vly_listeners_check(const struct volley_server *server)
{
	return check(server, "start", vly_listeners_count(server), count_sockets(server));
}

/* One more, with so many sockets. While the server rests it is looked at when it starts. */
static int check_new(struct volley_server *server, uint32_t n_sockets)
{
	if (!vly_call_has_thread(server))
		return 0;
	return check(server, "listen", vly_listeners_count(server) + 1, n_sockets);
}

/* From 1 on, so that none is all zero. Descriptors end long before the index does. */
static uint64_t make_id(uint32_t index)
{
	uint64_t serial = atomic_fetch_add_explicit(&last_serial, 1, memory_order_relaxed) + 1;

	assert(index < UINT32_C(1) << VLY_LISTENER_INDEX_BITS);
	return serial << VLY_LISTENER_INDEX_BITS | index;
}

/* Its index is its own until it is freed. */
static struct vly_listener *new_listener(struct volley_server *server)
{
	const struct volley_allocator *allocator = server->shared.config.allocator;
	struct vly_listener *listener = NULL;
	uint32_t index;

	if (vly_indexes_take(&server->indexes, allocator, &index) < 0)
		return NULL;
	if (make_room(server, index) >= 0)
		listener = vly_mem_new(allocator, 1, sizeof *listener);
	if (listener == NULL) {
		vly_indexes_put(&server->indexes, index);
		return NULL;
	}
	listener->server = server;
	listener->index = index;
	listener->id = make_id(index);
	return listener;
}

int vly_listeners_new(struct volley_server *server, const struct volley_listen_config *config,
		      struct vly_listener **ret_listener)
{
	struct vly_listener *listener;
	int r;

	r = check_new(server, 0); /* before anything is bound */
	if (r < 0)
		return r;
	listener = new_listener(server);
	if (listener == NULL)
		return -ENOMEM;
	r = vly_config_read_listen(&server->shared.config, config, &listener->config);
	if (r >= 0)
		r = vly_steer_init(listener);
	if (r >= 0)
		r = vly_options_find_device(server, &listener->config, &listener->device_index);
	listener->config.bind_device = NULL; /* the caller's; its index is what counts */
	if (r < 0) {
		vly_listener_free(listener);
		return r;
	}
	*ret_listener = listener;
	return 0;
}

/* What others than those who change the set want of one -------------------------------------- */

static int read_addr(const struct volley_server *server, struct volley_listener listener,
		     struct volley_addr *ret_addr)
{
	const struct vly_listener *found = vly_listeners_find(server, listener);

	if (found == NULL)
		return -ESTALE;
	*ret_addr = found->addr;
	return 0;
}

int volley_listener_get_addr(struct volley_server *server, struct volley_listener listener,
			     struct volley_addr *ret_addr)
{
	int r;

	if (server == NULL || ret_addr == NULL)
		return -EINVAL;
	if (!vly_process_is_here(&server->shared.process))
		return read_addr(server, listener, ret_addr); /* nobody changes it there */
	vly_lock_take(&server->shared.lock);
	r = read_addr(server, listener, ret_addr);
	vly_lock_give(&server->shared.lock);
	return r;
}

static uint32_t list(const struct volley_server *server, struct volley_listener *ret_listeners,
		     uint32_t n)
{
	uint32_t n_found = 0;

	for (uint32_t i = 0; i < server->n_listeners; i++) {
		if (server->listeners[i] == NULL)
			continue;
		if (n_found < n)
			ret_listeners[n_found].id = server->listeners[i]->id;
		n_found++;
	}
	return n_found;
}

int volley_server_get_listeners(struct volley_server *server, struct volley_listener *ret_listeners,
				uint32_t n)
{
	uint32_t n_found;

	if (server == NULL || (ret_listeners == NULL && n > 0))
		return -EINVAL;
	if (!vly_process_is_here(&server->shared.process))
		return (int)list(server, ret_listeners, n); /* as above */
	vly_lock_take(&server->shared.lock);
	n_found = list(server, ret_listeners, n);
	vly_lock_give(&server->shared.lock);
	return (int)n_found;
}

int volley_listener_get_fd(struct volley_server *server, struct volley_listener listener,
			   uint32_t socket_index)
{
	const struct vly_listener *found;
	int fd;

	if (server == NULL)
		return -EINVAL;
	if (!vly_process_is_here(&server->shared.process))
		return -ESRCH;
	vly_lock_take(&server->shared.lock);
	found = vly_listeners_find(server, listener);
	if (found == NULL)
		fd = -ESTALE;
	else
		fd = socket_index < found->n_fds ? found->fds[socket_index] : -ENOENT;
	vly_lock_give(&server->shared.lock);
	return fd;
}

/* Changes -------------------------------------------------------------------------------------- */

/* It is none of the set any more. */
static void remove_own(struct volley_server *server, const struct vly_listener *listener)
{
	const struct vly_bound bound = vly_listener_get_bound(listener);

	vly_own_remove(&server->shared.own, &bound);
}

int vly_listeners_add(struct volley_server *server, struct vly_listener *listener)
{
	const struct vly_bound bound = vly_listener_get_bound(listener);
	int r = check_new(server, listener->n_fds);

	if (r >= 0)
		r = vly_own_add(&server->shared.own, &bound);
	if (r < 0)
		return r;
	set_listener(server, listener->index, listener);
	r = vly_call_run(server, vly_change_attach, listener);
	if (r < 0)
		vly_listeners_remove(server, listener);
	return r;
}

void vly_listeners_end(struct volley_server *server, struct vly_listener *listener)
{
	vly_lock_take(&server->grouping); /* when it is given, whoever was there is done */
	listener->ends = true;
	vly_lock_give(&server->grouping);
}

void vly_listeners_remove(struct volley_server *server, struct vly_listener *listener)
{
	vly_listeners_end(server, listener);
	while (vly_call_run(server, vly_change_detach, listener) < 0)
		vly_clock_sleep_ns(VLY_CLOCK_LOOK_NS); /* for callbacks that have begun */
	set_listener(server, listener->index, NULL);
	remove_own(server, listener);
}

void vly_listeners_forget(struct volley_server *server, uint32_t listener_index)
{
	struct vly_listener *listener = server->listeners[listener_index];

	assert(listener != NULL);
	set_listener(server, listener_index, NULL);
	remove_own(server, listener);
	vly_listener_free(listener);
}

void vly_listeners_set_yielded(struct volley_server *server, uint32_t listener_index)
{
	struct vly_listener *listener = vly_listeners_get(server, listener_index);

	listener->yielded = true;
	vly_call_run(server, vly_change_adopt, listener);
}

void vly_listeners_set_kept(struct volley_server *server, uint32_t listener_index)
{
	struct vly_listener *listener = vly_listeners_get(server, listener_index);

	if (listener == NULL || listener->kept)
		return;
	listener->kept = true;
	vly_call_run(server, vly_change_adopt, listener);
}

static void set_drop(struct volley_server *server, bool drop, bool last_too)
	VLY_REQUIRES(server->listening)
{
	for (uint32_t i = 0; i < server->n_listeners; i++) {
		struct vly_listener *listener = server->listeners[i];

		if (listener != NULL && !vly_listener_is_shared(listener) &&
		    (last_too || !vly_listener_is_last(listener)))
			vly_listener_set_drop_all(listener, drop);
	}
}

void vly_listeners_set_drop_all(struct volley_server *server, bool drop)
{
	set_drop(server, drop, true);
}

void vly_listeners_set_drop_first(struct volley_server *server)
{
	set_drop(server, true, false);
}

void vly_listeners_fini(struct volley_server *server)
{
	for (uint32_t i = 0; i < server->n_listeners; i++)
		vly_listener_free(server->listeners[i]);
	vly_mem_free(server->listeners);
	vly_indexes_fini(&server->indexes);
}
