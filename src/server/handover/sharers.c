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
 * the other one holds, and a socket is ours alone when all that we watch are over. The two of a
 * hand-over get everything but each other's, so nobody holds a lease that he watches; only where
 * sockets come back to a server that has kept some it takes itself for a sharer, which breaks
 * nothing.
 *
 * A broken conversation says nothing of that, nor does a time that is over. Leases are looked at
 * when it matters, at an end, a start or a hand-over; until then nobody waits for them.
 *
 * The conversation of a hand-over that failed is kept as well. The new process says there that it
 * gives up, and at last its counters. When this server begins to end, or gives the sockets away, it
 * hangs up: then a new one that had meant to give up hears that nobody serves on for it, and does.
 */

#include "server/handover/sharers.h"

#include <assert.h>
#include <errno.h>

#include <volley/handover.h>

#include "base/log.h"
#include "path/ledger.h"
#include "path/listener.h"
#include "server/call.h"
#include "server/inside.h"
#include "server/listener.h"
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

/* The leases ----------------------------------------------------------------------------------- */

/* These take the descriptors over, but where they fail. */
static int add(struct vly_sharers *sharers, const struct vly_sharer *sharer)
{
	if (sharers->n == VLY_SHARERS_MAX)
		return -EUSERS;
	sharers->all[sharers->n++] = *sharer;
	return 0;
}

static int add_hold(struct vly_sharers *sharers, uint64_t id, int fd)
{
	if (sharers->n_holds == VLY_SHARERS_MAX)
		return -EUSERS;
	sharers->holds[sharers->n_holds++] = (struct vly_hold){ id, fd };
	return 0;
}

static int add_both(struct vly_sharers *sharers, const struct vly_sharer *sharer, int hold_fd)
{
	if (sharers->n == VLY_SHARERS_MAX)
		return -EUSERS;
	return add_hold(sharers, sharer->id, hold_fd) < 0 ? -EUSERS : add(sharers, sharer);
}

/*
 * The words themselves. *ret_hold_fd is the lease of ours that the other side watches, also when
 * this fails; -1: there is none. Who is not heard any more may have spoken before.
 */
static int exchange(struct vly_handover *handover, int *ret_hold_fd, int *ret_watch_fd)
{
	int own_watch_fd;
	int r = vly_lease_open(&own_watch_fd);

	*ret_hold_fd = r < 0 ? -1 : r;
	if (r < 0)
		return r;
	r = vly_wire_send_self(handover, own_watch_fd);
	vly_socket_close(own_watch_fd);
	return r < 0 && r != -EPIPE ? r : vly_wire_recv_peer(handover, ret_watch_fd);
}

/*
 * The giver has said hello and gets no further. Whoever has heard it waits for our end, because our
 * addresses are not free before: so the lease stays until then.
 */
static void keep_hold(struct vly_sharers *sharers, int hold_fd, bool is_giver)
{
	if (hold_fd >= 0 && (!is_giver || add_hold(sharers, ++sharers->last_id, hold_fd) < 0))
		vly_socket_close(hold_fd);
}

int vly_sharers_begin(struct volley_server *server, struct vly_handover *handover, bool waits,
		      uint64_t *ret_id)
{
	struct vly_sharer sharer = {
		.is_peer = true, .reads = true, .waits = waits, .busy = !waits, .talk_fd = -1
	};
	int hold_fd;
	int r = exchange(handover, &hold_fd, &sharer.watch_fd);

	if (r < 0) {
		vly_lock_take(&server->shared.lock);
		keep_hold(&server->sharers, hold_fd, !waits);
		vly_lock_give(&server->shared.lock);
		return r;
	}
	if (waits)
		r = sharer.talk_fd = vly_unix_keep(handover->fd);
	vly_lock_take(&server->shared.lock);
	vly_sharers_update(server);
	sharer.id = ++server->sharers.last_id;
	if (r >= 0)
		r = add_both(&server->sharers, &sharer, hold_fd);
	vly_lock_give(&server->shared.lock);
	if (r >= 0) {
		*ret_id = sharer.id;
		return 0;
	}
	close_talk(&sharer);
	vly_socket_close(sharer.watch_fd);
	vly_socket_close(hold_fd);
	return r;
}

/*
 * Descriptors of our own, so that a look that finds one of them over meanwhile (readers of
 * statistics look) closes its own only, and waits for nobody who reads slowly.
 */
int vly_sharers_keep_leases(struct volley_server *server, uint64_t id, int *ret_fds,
			    uint8_t *ret_reads, uint32_t *ret_n)
{
	const struct vly_sharers *sharers = &server->sharers;
	uint32_t n = 0;
	int r = 0;

	static_assert(2 * VLY_SHARERS_MAX <= VLY_UNIX_N_FDS, "they go in one packet");
	vly_lock_take(&server->shared.lock);
	vly_sharers_update(server);
	for (uint32_t i = 0; r >= 0 && i < sharers->n; i++) {
		if (sharers->all[i].id == id)
			continue;
		r = ret_fds[n] = vly_unix_keep(sharers->all[i].watch_fd);
		ret_reads[n] = sharers->all[i].reads;
		n += r >= 0;
	}
	for (uint32_t i = 0; r >= 0 && i < sharers->n_holds; i++) {
		if (sharers->holds[i].id == id)
			continue;
		r = ret_fds[n] = vly_unix_keep(sharers->holds[i].fd);
		ret_reads[n] = false;
		n += r >= 0;
	}
	vly_lock_give(&server->shared.lock);
	*ret_n = n;
	return r < 0 ? r : 0;
}

static int take_lease(struct vly_sharers *sharers, uint64_t id, int fd, bool reads)
{
	const struct vly_sharer sharer = {
		.id = id, .reads = reads, .watch_fd = fd, .talk_fd = -1
	};
	int r = -EPROTO;

	if (vly_lease_is_watch(fd))
		r = add(sharers, &sharer);
	else if (vly_lease_is_hold(fd))
		r = add_hold(sharers, id, fd);
	if (r < 0)
		vly_socket_close(fd);
	return r;
}

int vly_sharers_take_leases(struct volley_server *server, uint64_t id, const int *fds,
			    const uint8_t *reads, uint32_t n)
{
	int r = 0;

	vly_lock_take(&server->shared.lock);
	for (uint32_t i = 0; i < n; i++) {
		int taken = take_lease(&server->sharers, id, fds[i], reads[i]);

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

bool vly_sharers_take_books(struct volley_server *server,
			    const struct vly_handover_counters *counters)
{
	struct volley_stats stats;

	if (vly_wire_read_stats(counters, &stats) < 0)
		return false;
	vly_ledger_add(&server->carried, &stats);
	server->sharers.n_missing += counters->n_missing;
	return true;
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
	/* Once, and of one that was given sockets: else it would pay for somebody else. */
	if (handover.head.type == VLY_HANDOVER_BOOKS && sharer->owes &&
	    vly_sharers_take_books(server, &handover.counters)) {
		sharer->owes = false;
		server->sharers.n_missing--;
	}
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
		bool is_over = !sharers->all[i].busy && vly_lease_is_over(sharers->all[i].watch_fd);

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

void vly_sharers_adopt(struct volley_server *server, struct vly_listener *listener)
{
	for (uint32_t i = 0; listener->foreign && i < listener->n_fds; i++)
		if (vly_listener_configure(listener, listener->fds[i]) < 0)
			vly_log_write(&server->shared.config, VOLLEY_LOG_WARNING,
				      "descriptor %d keeps options of the old process",
				      listener->fds[i]);
	listener->others = listener->yielded = listener->foreign = false;
	vly_call_run(server, vly_change_adopt, listener);
}

void vly_sharers_settle(struct volley_server *server)
{
	bool alone;

	vly_lock_take(&server->shared.lock);
	vly_sharers_update(server);
	alone = server->sharers.n == 0;
	vly_lock_give(&server->shared.lock);
	for (uint32_t i = 0; alone && i < server->n_listeners; i++) {
		struct vly_listener *listener = vly_listeners_get(server, i);

		if (listener != NULL && listener->others)
			vly_sharers_adopt(server, listener);
	}
}

static bool has_shared(struct volley_server *server) VLY_REQUIRES(server->listening)
{
	bool has = server->import != NULL;

	for (uint32_t i = 0; !has && i < server->n_listeners; i++) {
		const struct vly_listener *listener = vly_listeners_get(server, i);

		has = listener != NULL && listener->others;
	}
	return has;
}

/* Those who want our counters get them in the end. */
void vly_sharers_release(struct volley_server *server)
{
	if (has_shared(server))
		return;
	vly_sharers_end_talks(server);
	vly_lock_take(&server->shared.lock);
	for (uint32_t i = server->sharers.n; i-- > 0;)
		if (!server->sharers.all[i].waits)
			remove_at(&server->sharers, i);
	while (server->sharers.n_holds > 0)
		remove_hold(&server->sharers, server->sharers.n_holds - 1);
	vly_lock_give(&server->shared.lock);
}

/* What they said before it is heard then, and the end behind that. */
void vly_sharers_end_talks(struct volley_server *server)
{
	vly_lock_take(&server->shared.lock);
	for (uint32_t i = 0; i < server->sharers.n; i++)
		if (server->sharers.all[i].talk_fd >= 0 && !server->sharers.all[i].waits)
			vly_unix_end(server->sharers.all[i].talk_fd);
	vly_sharers_update(server);
	vly_lock_give(&server->shared.lock);
}

void vly_sharers_set_ends(struct volley_server *server, bool ends)
{
	vly_lock_take(&server->shared.lock);
	server->sharers.ends = ends;
	vly_lock_give(&server->shared.lock);
	if (ends)
		vly_sharers_end_talks(server);
}

void vly_sharers_fini(struct volley_server *server)
{
	while (server->sharers.n > 0)
		remove_at(&server->sharers, server->sharers.n - 1);
	while (server->sharers.n_holds > 0)
		remove_hold(&server->sharers, server->sharers.n_holds - 1);
}
