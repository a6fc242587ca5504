/* SPDX-License-Identifier: MIT */

/*
 * The table of a worker's sockets and its lists.
 *
 * The list of the ready is settled late: a socket that was found empty stays in it until the next
 * pass comes by. So after a pass the list names exactly the sockets that the pass has served, which
 * is what a loop wants to know.
 */

#include "path/socks.h"

#include <assert.h>

#include "base/mem.h"
#include "path/listener.h"

/* The table begins with so many, and doubles. */
enum { FIRST_ROOM = 4 };

void vly_socks_init(struct vly_socks *socks, const struct volley_allocator *allocator)
{
	*socks = (struct vly_socks){ .allocator = allocator };
	TAILQ_INIT(&socks->ready);
	TAILQ_INIT(&socks->backlogged);
	TAILQ_INIT(&socks->writable);
}

/*
 * Places of the table that may be in use. One that was taken for lack of memory in vain is beyond
 * it at worst.
 */
static uint32_t count_places(const struct vly_socks *socks)
{
	return socks->indexes.n < socks->n_room ? socks->indexes.n : socks->n_room;
}

void vly_socks_fini(struct vly_socks *socks)
{
	for (uint32_t i = 0; i < count_places(socks); i++)
		vly_mem_free(socks->table[i]);
	vly_indexes_fini(&socks->indexes);
	vly_mem_free(socks->table);
	vly_mem_free(socks->of_listener);
}

/* An array of pointers with room for one more index. */
static bool make_room(const struct vly_socks *socks, struct vly_sock ***array, uint32_t *n_room,
		      uint32_t index)
{
	uint32_t n = *n_room > 0 ? *n_room : FIRST_ROOM;
	struct vly_sock **larger;

	if (index < *n_room)
		return true;
	while (n <= index)
		n *= 2;
	larger = vly_mem_grow(socks->allocator, *array, *n_room, n, sizeof **array);
	if (larger == NULL)
		return false;
	*array = larger;
	*n_room = n;
	return true;
}

/* Behind the others of its listener, of which a worker has few. */
static void append(struct vly_socks *socks, struct vly_sock *sock)
{
	struct vly_sock **link = &socks->of_listener[sock->listener->index];

	while (*link != NULL)
		link = &(*link)->next;
	*link = sock;
}

static struct vly_sock *new_sock(struct vly_socks *socks, const struct vly_listener *listener,
				 uint32_t index)
{
	if (!make_room(socks, &socks->table, &socks->n_room, index) ||
	    !make_room(socks, &socks->of_listener, &socks->n_of_listener, listener->index))
		return NULL;
	return vly_mem_new(socks->allocator, 1, sizeof(struct vly_sock));
}

struct vly_sock *vly_socks_add(struct vly_socks *socks, struct vly_listener *listener, int fd)
{
	struct vly_sock *sock;
	uint32_t index;

	assert(fd >= 0);
	if (vly_indexes_take(&socks->indexes, socks->allocator, &index) < 0)
		return NULL;
	sock = new_sock(socks, listener, index);
	if (sock == NULL) {
		vly_indexes_put(&socks->indexes, index);
		return NULL;
	}
	sock->socks = socks;
	sock->listener = listener;
	sock->index = index;
	sock->serial = ++socks->last_serial;
	sock->fd = fd;
	sock->reads = true;
	sock->is_first = listener->n_fds == 0 || fd == listener->fds[0];
	sock->is_kept = vly_listener_is_kept(listener);
	sock->is_shared = vly_listener_is_shared(listener);
	sock->watch.fd = -1;
	vly_limits_init(&sock->limits, &listener->limits);
	vly_drops_begin(&sock->drops, fd, listener->adopted);
	socks->table[index] = sock;
	append(socks, sock);
	return sock;
}

/* The list that a socket is in, or NULL. */
static struct vly_sock_list *get_list(struct vly_sock *sock, uint32_t line)
{
	if (line & VLY_SOCK_WAITS)
		return &sock->socks->backlogged;
	return line & VLY_SOCK_IS_ASKED ? &sock->socks->writable : NULL;
}

void vly_socks_remove(struct vly_sock *sock)
{
	struct vly_socks *socks = sock->socks;
	struct vly_sock **link = &socks->of_listener[sock->listener->index];

	assert(sock->socks->table[sock->index] == sock);
	assert(vly_queue_is_empty(&sock->backlog) && sock->n_handled == 0);
	assert(get_list(sock, sock->line) == NULL);

	while (*link != sock)
		link = &(*link)->next;
	*link = sock->next;
	vly_socks_set_ready(sock, false);
	vly_socks_set_refused(sock, 0);
	if (sock->in_ready)
		TAILQ_REMOVE(&socks->ready, sock, ready_link);
	socks->n_drops_gone += vly_drops_get_total(&sock->drops);
	socks->table[sock->index] = NULL;
	vly_indexes_put(&socks->indexes, sock->index);
	sock->next = sock->listener->gone;
	sock->listener->gone = sock;
}

void vly_socks_free_gone(struct vly_listener *listener)
{
	while (listener->gone != NULL) {
		struct vly_sock *sock = listener->gone;

		listener->gone = sock->next;
		vly_mem_free(sock);
	}
}

struct vly_sock *vly_socks_get(const struct vly_socks *socks, uint32_t sock_index)
{
	return sock_index < count_places(socks) ? socks->table[sock_index] : NULL;
}

struct vly_sock *vly_socks_find(const struct vly_socks *socks, uint32_t sock_index, uint32_t serial)
{
	struct vly_sock *sock = vly_socks_get(socks, sock_index);

	return sock != NULL && sock->serial == serial ? sock : NULL;
}

struct vly_sock *vly_socks_get_first(const struct vly_socks *socks, uint32_t listener_index)
{
	return listener_index < socks->n_of_listener ? socks->of_listener[listener_index] : NULL;
}

struct vly_sock *vly_socks_find_first(const struct vly_socks *socks,
				      struct volley_listener listener)
{
	struct vly_sock *sock = vly_socks_get_first(socks, VLY_LISTENER_INDEX(listener.id));

	return sock != NULL && sock->listener->id == listener.id ? sock : NULL;
}

struct vly_sock *vly_socks_get_next(const struct vly_sock *sock)
{
	return sock->next;
}

struct vly_sock *vly_socks_find_fd(const struct vly_socks *socks, uint32_t listener_index, int fd)
{
	struct vly_sock *sock = vly_socks_get_first(socks, listener_index);

	while (sock != NULL && sock->fd != fd)
		sock = sock->next;
	return sock;
}

void vly_socks_set_reads(struct vly_sock *sock, bool reads)
{
	sock->reads = reads;
	sock->rest_ns = 0;
}

void vly_socks_set_refused(struct vly_sock *sock, int error)
{
	bool was_refused = vly_socks_is_refused(sock);

	sock->refusal = error;
	if (error == 0)
		sock->n_refused = 0;
	else if (sock->n_refused < UINT32_MAX)
		sock->n_refused++;
	if (vly_socks_is_refused(sock) != was_refused)
		sock->socks->n_refused += was_refused ? -1u : 1;
}

void vly_socks_set_ready(struct vly_sock *sock, bool is_ready)
{
	struct vly_socks *socks = sock->socks;

	if (sock->is_ready == is_ready)
		return;
	sock->is_ready = is_ready;
	socks->n_ready += is_ready ? 1 : -1u;
	if (!is_ready || sock->in_ready)
		return;
	sock->in_ready = true;
	TAILQ_INSERT_TAIL(&socks->ready, sock, ready_link);
}

bool vly_socks_settle(struct vly_sock *sock)
{
	struct vly_socks *socks = sock->socks;

	assert(sock->in_ready);
	if (sock->is_ready)
		return true;
	TAILQ_REMOVE(&socks->ready, sock, ready_link);
	sock->in_ready = false;
	return false;
}

static void put_last(struct vly_sock_list *ready, struct vly_sock *sock)
{
	TAILQ_REMOVE(ready, sock, ready_link);
	TAILQ_INSERT_TAIL(ready, sock, ready_link);
}

void vly_socks_set_next_ready(struct vly_sock *sock)
{
	struct vly_sock_list *ready = &sock->socks->ready;

	assert(sock->in_ready);
	while (TAILQ_FIRST(ready) != sock)
		put_last(ready, TAILQ_FIRST(ready));
}

struct vly_sock *vly_socks_get_after(const struct vly_socks *socks, uint32_t sock_index)
{
	for (uint32_t i = sock_index + 1; i < count_places(socks); i++) /* UINT32_MAX: from 0 on */
		if (socks->table[i] != NULL)
			return socks->table[i];
	return NULL;
}

void vly_socks_add_stats(struct vly_sock *sock, struct volley_stats *stats)
{
	if (sock->fd >= 0)
		stats->unread_bytes += vly_drops_read(&sock->drops, sock->fd);
	stats->kernel_drops += vly_drops_get_total(&sock->drops);
}

void vly_socks_add_gone(const struct vly_socks *socks, struct volley_stats *stats)
{
	stats->kernel_drops += socks->n_drops_gone;
}

/* A drain has read it by errand; what follows is another start. */
static void set_drains(struct vly_sock *sock, bool drains)
{
	sock->drains = drains;
	if (drains || !sock->is_by_errand)
		return;
	sock->is_by_errand = false;
	vly_socks_set_reads(sock, true);
}

void vly_socks_set_drains(struct vly_socks *socks, bool drains)
{
	for (uint32_t i = 0; i < count_places(socks); i++)
		if (socks->table[i] != NULL)
			set_drains(socks->table[i], drains);
}

void vly_socks_set_all_ready(struct vly_socks *socks)
{
	for (uint32_t i = 0; i < count_places(socks); i++)
		if (socks->table[i] != NULL)
			vly_socks_set_ready(socks->table[i], socks->table[i]->reads ||
								     socks->table[i]->is_by_errand);
}

void vly_socks_keep_ready(struct vly_socks *socks)
{
	struct vly_sock *sock;

	TAILQ_FOREACH(sock, &socks->ready, ready_link)
	vly_socks_set_ready(sock, sock->reads);
}

/* From one list to the other. */
static void move(struct vly_sock *sock, uint32_t before, uint32_t now)
{
	struct vly_sock_list *from = get_list(sock, before);
	struct vly_sock_list *to = get_list(sock, now);

	if (from == to)
		return;
	if (from != NULL)
		TAILQ_REMOVE(from, sock, line_link);
	if (to != NULL)
		TAILQ_INSERT_TAIL(to, sock, line_link);
}

/* relaxed, in all of these: the word says all that there is to know */
void vly_socks_set_backlogged(struct vly_sock *sock)
{
	bool waits = !vly_queue_is_empty(&sock->backlog);
	uint32_t line = atomic_load_explicit(&sock->line, memory_order_relaxed);

	if (waits == ((line & VLY_SOCK_WAITS) != 0))
		return;
	/* What others ask for meanwhile, they ask for of the line that was. */
	line = atomic_fetch_xor_explicit(&sock->line, VLY_SOCK_WAITS, memory_order_relaxed);
	move(sock, line, line ^ VLY_SOCK_WAITS);
}

bool vly_socks_request_room(struct vly_sock *sock)
{
	uint32_t line = atomic_load_explicit(&sock->line, memory_order_relaxed);

	while (line == VLY_SOCK_WAITS &&
	       !atomic_compare_exchange_weak_explicit(&sock->line, &line, line | VLY_SOCK_IS_ASKED,
						      memory_order_relaxed, memory_order_relaxed))
		continue;
	return line & VLY_SOCK_WAITS;
}

void vly_socks_forget_room(struct vly_sock *sock)
{
	uint32_t line = atomic_fetch_and_explicit(&sock->line, VLY_SOCK_WAITS,
						  memory_order_relaxed);

	move(sock, line, line & VLY_SOCK_WAITS);
}

struct vly_sock *vly_socks_pop_writable(struct vly_socks *socks)
{
	struct vly_sock *sock = TAILQ_FIRST(&socks->writable);

	if (sock != NULL)
		vly_socks_forget_room(sock);
	return sock;
}
