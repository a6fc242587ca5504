/* SPDX-License-Identifier: MIT */

/*
 * Who else may hold our sockets: processes that were offered them, and the one that offered its own
 * to us. A socket that somebody else holds is not ours to break (vly_listener_is_shared()): what we
 * would do to end it would make him deaf.
 *
 * No call of the kernel counts the holders of a socket. So each side of a hand-over gives the other
 * a descriptor of itself, and what ends a share is death, which that descriptor tells: not a broken
 * conversation, nor a time that is over. It is asked when it matters, at an end or a hand-over;
 * until then nobody waits for it.
 *
 * The conversation of a hand-over that failed is kept as well. The new process says there that it
 * gives up, and at last its counters. When this server begins to end it hangs up: then a new one
 * that had meant to give up hears that nobody else is left, and serves on.
 */

#include "server/handover/sharers.h"

#include <errno.h>

#include <volley/handover.h>

#include "path/ledger.h"
#include "path/listener.h"
#include "server/call.h"
#include "server/inside.h"
#include "server/listeners.h"
#include "sys/pidfd.h"
#include "sys/socket.h"
#include "worker/change.h"

static void close_talk(struct vly_sharer *sharer)
{
	if (sharer->talk_fd < 0)
		return;
	vly_socket_close(sharer->talk_fd);
	sharer->talk_fd = -1;
	sharer->waits = false;
}

static void close_sharer(struct vly_sharer *sharer)
{
	close_talk(sharer);
	if (sharer->pidfd >= 0)
		vly_socket_close(sharer->pidfd);
}

struct vly_sharer *vly_sharers_find(struct volley_server *server, int pidfd)
{
	for (uint32_t i = 0; pidfd >= 0 && i < server->sharers.n; i++)
		if (server->sharers.all[i].pidfd == pidfd)
			return &server->sharers.all[i];
	return NULL;
}

static void remove_at(struct vly_sharers *sharers, uint32_t i)
{
	close_sharer(&sharers->all[i]);
	sharers->all[i] = sharers->all[--sharers->n];
}

int vly_sharers_add(struct volley_server *server, const struct vly_sharer *sharer)
{
	struct vly_sharers *sharers = &server->sharers;
	struct vly_sharer own = *sharer;

	vly_lock_take(&server->shared.lock);
	vly_sharers_update(server);
	if (own.pidfd >= 0 && sharers->n < VLY_SHARERS_MAX) {
		sharers->all[sharers->n++] = own;
	} else {
		sharers->unknown = true;
		close_sharer(&own);
		own.pidfd = -1;
	}
	vly_lock_give(&server->shared.lock);
	return own.pidfd;
}

bool vly_sharers_is_dead(struct volley_server *server, int pidfd)
{
	bool is;

	vly_lock_take(&server->shared.lock);
	is = pidfd >= 0 && (vly_sharers_find(server, pidfd) == NULL || vly_pidfd_is_dead(pidfd));
	vly_lock_give(&server->shared.lock);
	return is;
}

void vly_sharers_remove(struct volley_server *server, int pidfd)
{
	struct vly_sharer *sharer;

	vly_lock_take(&server->shared.lock);
	sharer = vly_sharers_find(server, pidfd);
	if (sharer != NULL)
		remove_at(&server->sharers, (uint32_t)(sharer - server->sharers.all));
	vly_lock_give(&server->shared.lock);
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
 * Each is asked whether it is dead before what it said is read. So of one that is found dead, all
 * is heard that it ever said: it can say nothing more.
 */
void vly_sharers_update(struct volley_server *server)
{
	struct vly_sharers *sharers = &server->sharers;

	for (uint32_t i = sharers->n; i-- > 0;) {
		bool is_dead = vly_pidfd_is_dead(sharers->all[i].pidfd);

		while (sharers->all[i].talk_fd >= 0 && !sharers->all[i].waits &&
		       hear(server, &sharers->all[i]) > 0)
			continue;
		if (is_dead)
			remove_at(sharers, i);
	}
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
	alone = server->sharers.n == 0 && !server->sharers.unknown;
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
}
