/* SPDX-License-Identifier: MIT */

/*
 * Handing over, the old process's side.
 *
 * What must never happen is that nobody reads a socket. So this process reads until the new one
 * says that it does, and closes its copies only when the new one has said that it took everything;
 * when anything goes wrong before that, it reads again and says so (RESUMED). In between the
 * sockets are paused: not read, but still there to send the replies that are on their way.
 *
 * From the moment in which they are offered the sockets are not ours alone, until nobody holds the
 * new one's lease (sharers.c). docs/restart.md has the table of what can fail.
 */

#include <assert.h>
#include <errno.h>

#include <volley/error.h>
#include <volley/handover.h>

#include "base/log.h"
#include "base/mem.h"
#include "path/worker.h"
#include "server/call.h"
#include "server/handover/books.h"
#include "server/handover/further.h"
#include "server/handover/sharers.h"
#include "server/handover/wire.h"
#include "server/inside.h"
#include "server/linger.h"
#include "server/listener.h"
#include "server/listeners.h"
#include "sys/clock.h"
#include "sys/socket.h"
#include "sys/unix.h"
#include "worker/change.h"

/* One of the sockets: the k-th of its listener. */
struct exported {
	struct vly_listener *listener;
	uint32_t k;
	uint32_t drops; /* the kernel's count, as it was last read here */
	bool had_others;
	bool taken;
};

struct export
{
	struct volley_server *server;
	struct vly_handover *handover;
	uint64_t id; /* among the sharers; 0: nobody has said hello */
	bool sent;   /* the first of them are on their way */
	bool paused;
	uint32_t n;
	struct exported *sockets;
	const int *further_fds; /* the program's, which stay its own */
	uint32_t n_further_fds;
};

/* Listeners do not change meanwhile, but a stop may come, and a start. */
static int call(struct volley_server *server, vly_errand_fn fn)
{
	int r;

	vly_lock_take(&server->listening);
	r = vly_call_run(server, fn, NULL);
	vly_lock_give(&server->listening);
	return r;
}

/* The steps ------------------------------------------------------------------------------------ */

static void list_listener(struct export *export, struct vly_listener *listener)
{
	for (uint32_t k = 0; k < listener->n_fds; k++)
		export->sockets[export->n++] = (struct exported){ .listener = listener,
								  .k = k,
								  .had_others = listener->others };
}

/* Every socket that there is. */
static int list(struct export *export)
{
	struct volley_server *server = export->server;
	uint32_t n = 0;
	int r = vly_further_check(&server->shared.config, export->further_fds,
				  export->n_further_fds);

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < server->n_listeners; i++)
		if (vly_listeners_get(server, i) != NULL)
			n += vly_listeners_get(server, i)->n_fds;
	export->sockets = vly_mem_new(server->shared.config.allocator, n, sizeof *export->sockets);
	if (export->sockets == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < server->n_listeners; i++)
		if (vly_listeners_get(server, i) != NULL)
			list_listener(export, vly_listeners_get(server, i));
	assert(export->n == n);
	return 0;
}

/* Whether others hold a listener's sockets too, for its workers as well. */
static void set_others(struct export *export, const struct exported *socket, bool others)
	VLY_REQUIRES(export->server->listening)
{
	if (socket->listener->others == others)
		return;
	socket->listener->others = others;
	vly_call_run(export->server, vly_change_adopt, socket->listener);
}

static void set_offered(struct export *export)
{
	vly_lock_take(&export->server->listening);
	for (uint32_t i = 0; i < export->n; i++)
		set_others(export, &export->sockets[i], true);
	vly_lock_give(&export->server->listening);
}

static int offer_leases(struct export *export)
{
	int fds[VLY_UNIX_N_FDS];
	uint8_t reads[VLY_UNIX_N_FDS];
	uint32_t n;
	int r = vly_sharers_keep_leases(export->server, export->id, fds, reads, &n);

	if (r >= 0)
		r = vly_wire_send_fds(export->handover, VLY_HANDOVER_OTHERS, fds, reads, n);
	while (n > 0)
		vly_socket_close(fds[--n]);
	return r;
}

/* As many as go into one packet, from an index on. Returns how many. */
static int offer_sockets(struct export *export, uint32_t first, uint32_t *ret_n)
{
	int fds[VLY_UNIX_N_FDS];
	uint8_t bits[VLY_UNIX_N_FDS];
	uint32_t n = 0;

	for (; n < VLY_UNIX_N_FDS && first + n < export->n; n++) {
		const struct exported *socket = &export->sockets[first + n];

		fds[n] = socket->listener->fds[socket->k];
		bits[n] = (vly_listener_is_kept(socket->listener) ? VLY_OFFER_KEPT : 0) |
			  (socket->had_others ? VLY_OFFER_OTHERS : 0);
	}
	*ret_n = n;
	return vly_wire_send_fds(export->handover, VLY_HANDOVER_SOCKETS, fds, bits, n);
}

static int offer(struct export *export)
{
	uint32_t n;
	int r = vly_wire_send(export->handover, VLY_HANDOVER_OFFER, export->n, NULL, 0);

	if (r >= 0)
		r = offer_leases(export);
	if (r >= 0)
		r = vly_wire_send_fds(export->handover, VLY_HANDOVER_FURTHER, export->further_fds,
				      NULL, export->n_further_fds);
	for (uint32_t i = 0; r >= 0 && i < export->n; i += n) {
		r = offer_sockets(export, i, &n);
		export->sent |= r >= 0;
	}
	return r;
}

/* What it says of each socket, and all of a listener's or none: half would be read by nobody. */
static int hear_ready(struct export *export)
{
	const struct vly_handover *handover = export->handover;
	uint32_t n = 0;

	do {
		uint32_t n_more;
		int r = vly_wire_recv(export->handover, VLY_HANDOVER_READY);

		if (r < 0)
			return r;
		n_more = handover->head.n;
		if (n_more > export->n - n || handover->head.n_bytes != n_more ||
		    (n_more == 0 && export->n > 0))
			return -EPROTO;
		for (uint32_t i = 0; i < n_more; i++)
			export->sockets[n++].taken = handover->taken[i];
	} while (n < export->n);
	for (uint32_t i = 1; i < n; i++)
		if (export->sockets[i].listener == export->sockets[i - 1].listener &&
		    export->sockets[i].taken != export->sockets[i - 1].taken)
			return -EPROTO;
	return 0;
}

static int wait_ready(struct export *export)
{
	int r = hear_ready(export);

	if (r < 0)
		return r;
	vly_lock_take(&export->server->listening);
	for (uint32_t i = 0; i < export->n; i++) {
		const struct exported *socket = &export->sockets[i];

		socket->listener->exported = socket->taken;
		if (!socket->taken) /* its copies are closed */
			set_others(export, socket, socket->had_others);
	}
	vly_lock_give(&export->server->listening);
	return 0;
}

/*
 * Say goodbye (on_drain) while the sockets are still read here, without lingering: the new process
 * reads them too and waits for us. Then stop reading, and let what is on its way be replied to. A
 * drain or close does that itself, and has its own time for it.
 */
static int quiesce(struct export *export)
{
	struct volley_server *server = export->server;
	uint64_t end_ns = vly_clock_get_ns() + vly_clock_convert_us(server->shared.config.drain_us);

	export->paused = true;
	vly_linger_post(server); /* each worker has it before the errand that follows */
	call(server, vly_change_pause);
	while (!vly_wire_is_aborted(export->handover) && call(server, vly_change_check) < 0 &&
	       vly_clock_get_ns() < end_ns)
		vly_clock_sleep_ns(VLY_CLOCK_LOOK_NS); /* ends by time; nothing is waited for */
	return vly_wire_is_aborted(export->handover) ? -ECANCELED : 0;
}

/* What the kernel said last of a socket's drops. */
static uint32_t get_drops(struct volley_server *server, const struct exported *socket)
	VLY_REQUIRES(server->shared.lock)
{
	const struct vly_listener *listener = socket->listener;
	uint32_t n = server->shared.config.n_workers;
	uint32_t i = vly_listener_get_worker(listener, socket->k, n);
	const struct vly_sock *sock = vly_socks_find_fd(&server->workers[i].socks, listener->index,
							listener->fds[socket->k]);

	return sock != NULL ? vly_drops_get_seen(&sock->drops) : 0;
}

static int send_drops(struct export *export)
{
	uint32_t drops[VLY_HANDOVER_N_BATCH];
	int r = 0;

	for (uint32_t i = 0; r >= 0 && i < export->n;) {
		uint32_t n = 0;

		while (n < VLY_HANDOVER_N_BATCH && i < export->n)
			drops[n++] = export->sockets[i++].drops;
		r = vly_wire_send(export->handover, VLY_HANDOVER_DROPS, n, drops,
				  n * (uint32_t)sizeof drops[0]);
	}
	return r;
}

/* At one moment: what the books say is dropped is what was read of each socket. */
static int send_counters(struct export *export)
{
	struct volley_server *server = export->server;
	struct vly_handover_counters *counters = &export->handover->counters;
	int r;

	vly_lock_take(&server->shared.lock);
	vly_books_fill(server, counters);
	for (uint32_t i = 0; i < export->n; i++)
		export->sockets[i].drops = get_drops(server, &export->sockets[i]);
	vly_lock_give(&server->shared.lock);
	r = send_drops(export);
	if (r < 0)
		return r;
	return vly_wire_send(export->handover, VLY_HANDOVER_COUNTERS, export->n, counters,
			     sizeof *counters);
}

static void end_exported(struct volley_server *server)
{
	vly_lock_take(&server->listening);
	for (uint32_t i = 0; i < server->n_listeners; i++) {
		struct vly_listener *listener = vly_listeners_get(server, i);

		if (listener != NULL && listener->exported)
			vly_listeners_end(server, listener);
	}
	vly_lock_give(&server->listening);
}

static void forget_exported(struct volley_server *server)
{
	vly_lock_take(&server->listening);
	for (uint32_t i = 0; i < server->n_listeners; i++) {
		struct vly_listener *listener = vly_listeners_get(server, i);

		if (listener != NULL && listener->exported)
			vly_listeners_forget(server, i);
	}
	vly_sharers_release(server);
	vly_lock_give(&server->listening);
}

/*
 * What the new one did not take is no socket of its own, and what it took is none of ours. So
 * nobody can rely any more on our serving it.
 */
static void close_taken(struct export *export)
{
	struct volley_server *server = export->server;

	vly_sharers_end_talks(server);
	while (call(server, vly_change_give_up_exported) < 0)
		vly_clock_sleep_ns(VLY_CLOCK_LOOK_NS); /* for callbacks that have begun */
	end_exported(server);
	call(server, vly_change_give_away);
	forget_exported(server);
	vly_sharers_remove(server, export->id);
}

static void resume(struct export *export)
{
	call(export->server, vly_change_resume);
	vly_lock_take(&export->server->listening);
	for (uint32_t i = 0; i < export->n; i++)
		export->sockets[i].listener->exported = false;
	vly_lock_give(&export->server->listening);
}

static bool has_word(const struct vly_handover *handover)
{
	return handover->head.type == VLY_HANDOVER_BOOKS ||
	       handover->head.type == VLY_HANDOVER_QUIT;
}

/*
 * What the new one has served by now is in its books, and if it does not send them, in nobody's:
 * unless we end, and both write their own.
 */
static void note_failure(struct export *export, bool ends)
{
	struct volley_server *server = export->server;
	const struct vly_handover *handover = export->handover;
	bool has_books = export->sent && handover->head.type == VLY_HANDOVER_BOOKS;
	bool quits = has_word(handover);
	bool owes = export->sent && !ends;
	struct vly_sharer *sharer;

	vly_lock_take(&server->shared.lock);
	if (has_books)
		owes = !vly_sharers_take_books(server, &handover->counters);
	server->sharers.n_missing += owes;
	sharer = vly_sharers_find(server, export->id);
	if (sharer != NULL) {
		sharer->busy = false;
		sharer->owes = owes;
		sharer->reads = export->sent && !quits;
		sharer->talk_fd = ends ? -1 : vly_unix_keep(handover->fd);
	}
	if (ends)
		vly_unix_end(handover->fd);
	vly_lock_give(&server->shared.lock);
}

/*
 * Told before it is done: when the new one hears nothing it knows that nothing was read. A process
 * that is about to end reads on for as long as its drain takes, and no longer.
 */
static void serve_on(struct export *export)
{
	bool ends;

	vly_lock_take(&export->server->shared.lock);
	ends = export->server->sharers.ends ||
	       atomic_load_explicit(&export->server->export_abort, memory_order_relaxed);
	vly_lock_give(&export->server->shared.lock);
	vly_wire_send(export->handover, VLY_HANDOVER_RESUMED, ends, NULL, 0);
	if (export->paused)
		resume(export);
	note_failure(export, ends);
}

static int converse(struct export *export, uint32_t timeout_us)
{
	struct vly_handover *handover = export->handover;
	int r = vly_sharers_begin(export->server, handover, false, &export->id);

	if (r >= 0) {
		set_offered(export);
		r = offer(export);
	}
	if (r >= 0)
		r = wait_ready(export);
	if (r >= 0)
		r = quiesce(export);
	if (r < 0)
		return r;
	vly_wire_set_timeout(handover, timeout_us);
	r = send_counters(export);
	if (r >= 0)
		r = vly_wire_recv(handover, VLY_HANDOVER_TAKEN);
	if (r < 0)
		return r;
	close_taken(export);
	vly_wire_send(handover, VLY_HANDOVER_GONE, 0, NULL, 0);
	return 0;
}

static void set_exporting(struct volley_server *server, bool exporting)
{
	atomic_store_explicit(&server->export_abort, false, memory_order_relaxed);
	vly_lock_take(&server->shared.lock);
	server->exporting = exporting;
	vly_cond_wake(&server->shared.changed);
	vly_lock_give(&server->shared.lock);
}

/* Nothing was offered. Who asks shall not take us for dead. */
static void refuse(struct export *export, int error)
{
	vly_wire_send(export->handover, VLY_HANDOVER_RESUMED, error == -ESHUTDOWN, NULL, 0);
}

/* Others take `listening` meanwhile, but find that listeners must stay as they are. */
static int export_alone(struct export *export, uint32_t timeout_us)
{
	struct volley_server *server = export->server;
	int r;

	if (!vly_listeners_lock(server, &r)) {
		refuse(export, r);
		return r;
	}
	vly_sharers_settle(server);
	r = server->import != NULL ? -EBUSY : list(export);
	if (r >= 0) {
		/* After a drain: nobody would find it on sockets that are not his own making. */
		vly_listeners_set_drop_all(server, false);
		set_exporting(server, true);
	}
	vly_listeners_unlock(server);
	if (r < 0) {
		refuse(export, r);
		return r;
	}
	r = converse(export, timeout_us);
	if (r == -EPIPE)
		r = vly_wire_take_last(export->handover, r);
	if (r < 0)
		serve_on(export);
	set_exporting(server, false);
	if (r < 0)
		vly_log_write(&server->shared.config, VOLLEY_LOG_WARNING,
			      "the sockets were not handed over (%s): this process serves on",
			      volley_error_name(r));
	return r;
}

int volley_server_export_fds(struct volley_server *server, int fd, uint32_t timeout_us,
			     const int *further_fds, uint32_t n_further_fds)
{
	struct export *export;
	int r = vly_inside_check_home(server, "export_fds");

	if (r >= 0) /* a child would say on its parent's conversation what is not so */
		r = vly_unix_check(fd);
	if (r < 0)
		return r;
	export = vly_mem_new(server->shared.config.allocator, 1, sizeof *export);
	if (export == NULL)
		return -ENOMEM;
	export->server = server;
	export->further_fds = further_fds;
	export->n_further_fds = n_further_fds;
	export->handover = vly_wire_new(server->shared.config.allocator, fd, timeout_us);
	r = -ENOMEM;
	if (export->handover != NULL) {
		export->handover->abort = &server->export_abort;
		r = export_alone(export, timeout_us);
	}
	vly_wire_free(export->handover);
	vly_mem_free(export->sockets);
	vly_mem_free(export);
	return r;
}
