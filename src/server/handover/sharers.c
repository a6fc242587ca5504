/* SPDX-License-Identifier: MIT */

/*
 * Who else may hold our sockets: servers that were offered them, and the one that offered its own
 * to us. A socket that somebody else holds is not ours to break (vly_listener_is_shared()): what we
 * would do to end it would make him deaf.
 *
 * No call of the kernel counts the holders of a socket. So each side of a hand-over opens a lease
 * (sys/lease.h) and gives the other the end to watch. It lets go of its own end when its sockets
 * are closed, and the kernel does that for a process that dies. **Whoever gets the sockets gets the
 * giver's leases too**: those that the giver watches, so that it knows all whom the giver knows;
 * and those that the giver holds, so that all who know the giver know of it, though nobody tells
 * them. A forked child has both in the same way. So of any two holders each watches a lease that
 * the other one holds, and a socket is ours alone when all that we watch are over. Nobody holds a
 * lease that he watches: the two of a hand-over get everything but each other's.
 *
 * A broken conversation says nothing of that, nor does a time that is over. Leases are looked at
 * when it matters, at an end or a hand-over; until then nobody waits for them.
 *
 * The conversation of a hand-over that failed is kept as well. The new process says there that it
 * gives up, and at last its counters. When this server begins to end it hangs up: then a new one
 * that had meant to give up hears that nobody else is left, and serves on.
 */

#include "server/handover/sharers.h"

#include <assert.h>
#include <errno.h>

#include <volley/handover.h>

#include "path/ledger.h"
#include "path/listener.h"
#include "server/call.h"
#include "server/inside.h"
#include "server/listeners.h"
#include "sys/clock.h"
#include "sys/lease.h"
#include "sys/socket.h"
#include "worker/change.h"

/* What closing some thousand descriptors takes, and more. */
enum { MOMENT_NS = 100000000 };

static void close_talk(struct vly_sharer *sharer)
{
	if (sharer->talk_fd < 0)
		return;
	vly_socket_close(sharer->talk_fd);
	sharer->talk_fd = -1;
	sharer->waits = false;
}

struct vly_sharer *vly_sharers_find(struct volley_server *server, uint64_t id)
{
	for (uint32_t i = 0; i < server->sharers.n; i++)
		if (server->sharers.all[i].id == id && server->sharers.all[i].is_peer)
			return &server->sharers.all[i];
	return NULL;
}

static void remove_at(struct vly_sharers *sharers, uint32_t i)
{
	close_talk(&sharers->all[i]);
	vly_socket_close(sharers->all[i].watch_fd);
	sharers->all[i] = sharers->all[--sharers->n];
}

static void remove_hold(struct vly_sharers *sharers, uint32_t i)
{
	vly_socket_close(sharers->holds[i].fd);
	sharers->holds[i] = sharers->holds[--sharers->n_holds];
}

void vly_sharers_remove(struct volley_server *server, uint64_t id)
{
	struct vly_sharers *sharers = &server->sharers;

	vly_lock_take(&server->shared.lock);
	for (uint32_t i = sharers->n; i-- > 0;)
		if (sharers->all[i].id == id)
			remove_at(sharers, i);
	for (uint32_t i = sharers->n_holds; i-- > 0;)
		if (sharers->holds[i].id == id)
			remove_hold(sharers, i);
	vly_lock_give(&server->shared.lock);
}

void vly_sharers_release(struct volley_server *server)
{
	vly_lock_take(&server->shared.lock);
	while (server->sharers.n_holds > 0)
		remove_hold(&server->sharers, server->sharers.n_holds - 1);
	vly_lock_give(&server->shared.lock);
}

/* The leases ----------------------------------------------------------------------------------- */

/* With its descriptor, which is ours from here on. */
static int add(struct vly_sharers *sharers, const struct vly_sharer *sharer)
{
	if (sharers->n < VLY_SHARERS_MAX) {
		sharers->all[sharers->n++] = *sharer;
		return 0;
	}
	vly_socket_close(sharer->watch_fd);
	return -EUSERS;
}

static int add_hold(struct vly_sharers *sharers, uint64_t id, int fd)
{
	if (sharers->n_holds < VLY_SHARERS_MAX) {
		sharers->holds[sharers->n_holds++] = (struct vly_hold){ id, fd };
		return 0;
	}
	vly_socket_close(fd);
	return -EUSERS;
}

/* The words themselves. Returns the lease of ours that the other side watches. */
static int exchange(struct vly_handover *handover, int *ret_watch_fd)
{
	int own_watch_fd;
	int hold_fd = vly_lease_open(&own_watch_fd);
	int r;

	if (hold_fd < 0)
		return hold_fd;
	r = vly_wire_send_self(handover, own_watch_fd);
	vly_socket_close(own_watch_fd);
	if (r >= 0)
		r = vly_wire_recv_peer(handover, ret_watch_fd);
	if (r >= 0)
		return hold_fd;
	vly_socket_close(hold_fd);
	return r;
}

int vly_sharers_begin(struct volley_server *server, struct vly_handover *handover, bool waits,
		      uint64_t *ret_id)
{
	struct vly_sharer sharer = { .is_peer = true, .reads = true, .talk_fd = -1 };
	int hold_fd = exchange(handover, &sharer.watch_fd);
	uint64_t id;
	int r;

	if (hold_fd < 0)
		return hold_fd;
	vly_lock_take(&server->shared.lock);
	vly_sharers_update(server);
	id = ++server->sharers.last_id;
	sharer.id = id;
	if (waits)
		sharer.talk_fd = vly_unix_keep(handover->fd);
	sharer.waits = sharer.talk_fd >= 0;
	r = add_hold(&server->sharers, id, hold_fd);
	if (r >= 0)
		r = add(&server->sharers, &sharer);
	else
		vly_socket_close(sharer.watch_fd);
	vly_lock_give(&server->shared.lock);
	if (r >= 0) {
		*ret_id = id;
		return 0;
	}
	if (sharer.talk_fd >= 0)
		vly_socket_close(sharer.talk_fd);
	vly_sharers_remove(server, id);
	return r;
}

/*
 * Descriptors of our own, so that a look that finds one of them over meanwhile (readers of
 * statistics look) closes its own only, and waits for nobody who reads slowly.
 */
int vly_sharers_keep_leases(struct volley_server *server, uint64_t id, int *ret_fds,
			    uint32_t *ret_n)
{
	const struct vly_sharers *sharers = &server->sharers;
	uint32_t n = 0;
	int r = 0;

	static_assert(2 * VLY_SHARERS_MAX <= VLY_UNIX_N_FDS, "they go in one packet");
	vly_lock_take(&server->shared.lock);
	vly_sharers_update(server);
	for (uint32_t i = 0; r >= 0 && i < sharers->n; i++)
		if (sharers->all[i].id != id && (r = vly_unix_keep(sharers->all[i].watch_fd)) >= 0)
			ret_fds[n++] = r;
	for (uint32_t i = 0; r >= 0 && i < sharers->n_holds; i++)
		if (sharers->holds[i].id != id && (r = vly_unix_keep(sharers->holds[i].fd)) >= 0)
			ret_fds[n++] = r;
	vly_lock_give(&server->shared.lock);
	*ret_n = n;
	return r < 0 ? r : 0;
}

static int take_lease(struct vly_sharers *sharers, uint64_t id, int fd)
{
	const struct vly_sharer sharer = { .id = id, .watch_fd = fd, .talk_fd = -1 };

	if (vly_lease_is_watch(fd))
		return add(sharers, &sharer);
	if (vly_lease_is_hold(fd))
		return add_hold(sharers, id, fd);
	vly_socket_close(fd);
	return -EPROTO;
}

int vly_sharers_take_leases(struct volley_server *server, uint64_t id, const int *fds, uint32_t n)
{
	int r = 0;

	vly_lock_take(&server->shared.lock);
	for (uint32_t i = 0; i < n; i++) {
		int taken = take_lease(&server->sharers, id, fds[i]);

		if (taken < 0)
			r = taken;
	}
	vly_lock_give(&server->shared.lock);
	return r;
}

bool vly_sharers_is_over(struct volley_server *server, uint64_t id)
{
	const struct vly_sharer *sharer;
	bool is;

	vly_lock_take(&server->shared.lock);
	sharer = vly_sharers_find(server, id);
	is = sharer == NULL || vly_lease_is_over(sharer->watch_fd);
	vly_lock_give(&server->shared.lock);
	return is;
}

/*
 * A process that dies closes its descriptors one after the other, and is dead when the last one is
 * closed. So that its addresses are free, death is waited for where it can be known: for a moment,
 * since one that only closed its server lives on.
 */
void vly_sharers_wait_end(struct volley_server *server, const struct vly_handover *handover,
			  uint64_t id)
{
	uint64_t end_ns = handover->end_ns;
	bool is_over = false;

	while (!vly_wire_is_peer_dead(handover) && vly_clock_get_ns() < end_ns) {
		if (!is_over && vly_sharers_is_over(server, id)) {
			is_over = true;
			if (handover->peer_pidfd < 0)
				return;
			if (end_ns > vly_clock_get_ns() + MOMENT_NS)
				end_ns = vly_clock_get_ns() + MOMENT_NS;
		}
		vly_clock_sleep_ns(VLY_CLOCK_LOOK_NS);
	}
}

/* What it says ------------------------------------------------------------------------------- */

void vly_sharers_take_books(struct volley_server *server,
			    const struct vly_handover_counters *counters)
{
	struct volley_stats stats;

	if (vly_wire_read_stats(counters, &stats) < 0)
		return; /* they stay missing */
	vly_ledger_add(&server->carried, &stats);
	if (server->sharers.n_missing > 0)
		server->sharers.n_missing--;
	server->sharers.n_missing += counters->n_missing;
}

/* One packet of a conversation that is over; 0 when there is none. */
static int hear(struct volley_server *server, struct vly_sharer *sharer)
	VLY_REQUIRES(server->shared.lock)
{
	struct vly_handover handover = { .fd = sharer->talk_fd };
	int r = vly_wire_take(&handover);

	vly_wire_close_fds(&handover);
	if (r == -EAGAIN)
		return 0;
	if (r < 0) {
		close_talk(sharer);
		return 0;
	}
	if (handover.head.type == VLY_HANDOVER_QUIT || handover.head.type == VLY_HANDOVER_BOOKS)
		sharer->reads = false;
	if (handover.head.type == VLY_HANDOVER_BOOKS)
		vly_sharers_take_books(server, &handover.counters);
	return 1;
}

/*
 * Each is looked at before what it said is read. So of one whose lease is over, all is heard that
 * it ever said: what it says comes before it lets go.
 */
void vly_sharers_update(struct volley_server *server)
{
	struct vly_sharers *sharers = &server->sharers;

	for (uint32_t i = sharers->n; i-- > 0;) {
		bool is_over = vly_lease_is_over(sharers->all[i].watch_fd);

		while (sharers->all[i].talk_fd >= 0 && !sharers->all[i].waits &&
		       hear(server, &sharers->all[i]) > 0)
			continue;
		if (is_over)
			remove_at(sharers, i);
	}
	for (uint32_t i = sharers->n_holds; i-- > 0;)
		if (vly_lease_is_over(sharers->holds[i].fd))
			remove_hold(sharers, i);
}

int volley_server_count_sharers(struct volley_server *server)
{
	int n = 0;
	int r = vly_inside_check_home(server, "count_sharers");

	if (r < 0)
		return r;
	vly_lock_take(&server->shared.lock);
	vly_sharers_update(server);
	for (uint32_t i = 0; i < server->sharers.n; i++)
		n += server->sharers.all[i].reads;
	vly_lock_give(&server->shared.lock);
	return n;
}

/* What follows from it ----------------------------------------------------------------------- */

void vly_sharers_settle(struct volley_server *server)
{
	bool alone;

	vly_lock_take(&server->shared.lock);
	vly_sharers_update(server);
	alone = server->sharers.n == 0;
	vly_lock_give(&server->shared.lock);
	for (uint32_t i = 0; alone && i < server->n_listeners; i++) {
		struct volley_listener *listener = vly_listeners_get(server, i);

		if (listener == NULL || !listener->others)
			continue;
		listener->others = false;
		vly_call_run(server, vly_change_adopt, listener);
	}
}

void vly_sharers_set_ends(struct volley_server *server, bool ends)
{
	vly_lock_take(&server->shared.lock);
	server->sharers.ends = ends;
	vly_sharers_update(server);
	for (uint32_t i = 0; ends && i < server->sharers.n; i++) {
		struct vly_sharer *sharer = &server->sharers.all[i];

		if (sharer->talk_fd < 0 || sharer->waits)
			continue;
		vly_unix_end(sharer->talk_fd);
		close_talk(sharer);
	}
	vly_lock_give(&server->shared.lock);
}

/* Also in a forked child, where the conversations are still the parent's: nothing is said. */
void vly_sharers_fini(struct volley_server *server)
{
	while (server->sharers.n > 0)
		remove_at(&server->sharers, server->sharers.n - 1);
	while (server->sharers.n_holds > 0)
		remove_hold(&server->sharers, server->sharers.n_holds - 1);
}
