/* SPDX-License-Identifier: MIT */

/*
 * The script is one list of items in the order of writing; each receive call takes those of its
 * listener from the front. Everything is in growing arrays, because tests are allowed to allocate.
 */

#include "lib/fake_io.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/io.h"
#include "lib/ledger.h"
#include "lib/listeners.h"
#include "lib/loopback.h"
#include "path/backlog.h"
#include "path/listener.h"
#include "path/pipeline.h"
#include "server/listeners.h"
#include "server/state.h"

enum { N_PEERS = 65536, N_RESULTS = 4096 };

enum item_kind { ITEM_DATAGRAM, ITEM_END, ITEM_ERROR };

struct item {
	enum item_kind kind;
	uint32_t listener;
	int error;
	bool taken;
	uint8_t *data;
	uint32_t len;
	uint32_t flags;
	uint32_t segment_bytes;
	struct volley_addr peer;
	struct vly_cmsg_info info;
};

struct fake_io {
	struct vly_io io;
	struct vly_slots *slots;
	struct item *items;
	size_t n_items;
	size_t first; /* items before it are taken */
	int results[N_RESULTS];
	uint32_t n_results;
	int always;
	struct fake_sent *sent;
	size_t n_sent;
	uint32_t n_messages;
	uint32_t n_recv_calls;
	uint32_t n_send_calls;
	uint32_t max_send;
	uint16_t next_port;
};

static void die(const char *what)
{
	fprintf(stderr, "fake_io: %s\n", what);
	abort();
}

static void *need(void *mem)
{
	if (mem == NULL)
		die("out of memory");
	return mem;
}

static struct fake_io *fake_of(struct vly_io *io)
{
	return VLY_CONTAINER_OF(io, struct fake_io, io);
}

const struct volley_addr *fake_peer(uint16_t port)
{
	static _Thread_local struct volley_addr *peers;
	struct volley_addr *peer;

	if (peers == NULL)
		peers = need(calloc(N_PEERS, sizeof *peers));
	peer = &peers[port];
	if (peer->len == 0) {
		*peer = loopback_addr("192.0.2.1:1");
		peer->in.sin_port = htons(port);
	}
	return peer;
}

/* The script ----------------------------------------------------------------------------------- */

static struct item *add_item(struct fake_io *fake, enum item_kind kind, uint32_t listener)
{
	struct item *item;

	fake->items = need(reallocarray(fake->items, fake->n_items + 1, sizeof *fake->items));
	item = &fake->items[fake->n_items++];
	*item = (struct item){ .kind = kind, .listener = listener };
	return item;
}

void fake_io_recv(struct fake_io *fake, const struct fake_datagram *datagram)
{
	struct item *item = add_item(fake, ITEM_DATAGRAM, datagram->listener);

	item->len = datagram->len;
	item->flags = datagram->flags;
	item->segment_bytes = datagram->segment_bytes;
	item->peer = datagram->peer != NULL ? *datagram->peer : *fake_peer(++fake->next_port);
	if (datagram->info != NULL)
		item->info = *datagram->info;
	item->data = need(calloc(1, datagram->len + 1));
	if (datagram->data != NULL)
		memcpy(item->data, datagram->data, datagram->len);
}

void fake_io_recv_n(struct fake_io *fake, uint32_t listener, uint32_t n, uint32_t len)
{
	uint8_t *data = need(calloc(1, len + 1));

	for (uint32_t i = 0; i < n; i++) {
		data[0] = (uint8_t)i;
		fake_io_recv(fake, &(struct fake_datagram){
					   .listener = listener, .data = data, .len = len });
	}
	free(data);
}

void fake_io_recv_end(struct fake_io *fake, uint32_t listener)
{
	add_item(fake, ITEM_END, listener);
}

void fake_io_recv_error(struct fake_io *fake, uint32_t listener, int error)
{
	add_item(fake, ITEM_ERROR, listener)->error = error;
}

void fake_io_send_result(struct fake_io *fake, int r)
{
	if (fake->n_results == N_RESULTS || fake->n_send_calls >= N_RESULTS || r == 0)
		die("a send has too many results, or one that no backend gives");
	while (fake->n_results < fake->n_send_calls) /* calls that were made without one */
		fake->results[fake->n_results++] = INT_MAX;
	fake->results[fake->n_results++] = r;
}

void fake_io_send_always(struct fake_io *fake, int r)
{
	fake->always = r;
}

/* What happened -------------------------------------------------------------------------------- */

uint32_t fake_io_n_sent(const struct fake_io *fake)
{
	return (uint32_t)fake->n_sent;
}

const struct fake_sent *fake_io_sent(const struct fake_io *fake, uint32_t i)
{
	if (i >= fake->n_sent)
		die("fewer datagrams were sent than the test looks at");
	return &fake->sent[i];
}

uint32_t fake_io_n_recv_calls(const struct fake_io *fake)
{
	return fake->n_recv_calls;
}

uint32_t fake_io_n_send_calls(const struct fake_io *fake)
{
	return fake->n_send_calls;
}

uint32_t fake_io_max_send(const struct fake_io *fake)
{
	return fake->max_send;
}

/* The backend ---------------------------------------------------------------------------------- */

static int fake_open(struct vly_slots *slots, struct vly_io **ret_io)
{
	struct fake_io *fake = need(calloc(1, sizeof *fake));

	fake->slots = slots;
	fake->always = INT_MAX;
	*ret_io = &fake->io;
	return 0;
}

static int fake_attach(struct vly_io *io, uint32_t listener, const struct vly_io_sock *port)
{
	(void)io, (void)listener, (void)port;
	return 0;
}

static void fake_detach(struct vly_io *io, uint32_t listener)
{
	(void)io, (void)listener;
}

static struct item *get_item(struct fake_io *fake, uint32_t listener)
{
	while (fake->first < fake->n_items && fake->items[fake->first].taken)
		fake->first++;
	for (size_t i = fake->first; i < fake->n_items; i++)
		if (!fake->items[i].taken && fake->items[i].listener == listener)
			return &fake->items[i];
	return NULL;
}

static void deliver(struct fake_io *fake, const struct item *item, uint32_t i)
{
	struct vly_slot *slot = &fake->slots->slots[i];
	uint32_t n = item->len < slot->capacity ? item->len : slot->capacity;

	memcpy(slot->data, item->data, n);
	slot->len = n;
	slot->flags = item->flags;
	slot->full_bytes = item->len > n ? item->len : n + 1;
	slot->segment_bytes = item->segment_bytes;
	slot->peer = item->peer;
	fake->slots->infos[i] = item->info;
}

static int fake_recv(struct vly_io *io, uint32_t listener, uint32_t n, bool wait)
{
	struct fake_io *fake = fake_of(io);
	struct item *item;
	uint32_t i = 0;

	(void)wait;
	if (n > fake->slots->n_slots)
		die("a receive asks for more than there are slots");
	io->rx_syscalls++;
	fake->n_recv_calls++;
	while (i < n && (item = get_item(fake, listener)) != NULL) {
		if (item->kind == ITEM_ERROR && i > 0)
			break;
		item->taken = true;
		if (item->kind == ITEM_ERROR)
			return item->error;
		if (item->kind == ITEM_END)
			break;
		deliver(fake, item, i++);
	}
	return (int)i;
}

static void keep(struct fake_io *fake, uint32_t listener, const struct vly_tx *head,
		 const struct vly_tx *entry)
{
	struct fake_sent *sent;

	fake->sent = need(reallocarray(fake->sent, fake->n_sent + 1, sizeof *fake->sent));
	sent = &fake->sent[fake->n_sent++];
	*sent = (struct fake_sent){ .listener = listener,
				    .call = fake->n_send_calls - 1,
				    .message = fake->n_messages,
				    .peer = *head->peer,
				    .ifindex = head->ifindex,
				    .len = entry->len };
	if (head->header & VLY_CMSG_HEADER_LOCAL)
		sent->local = *head->local;
	sent->data = need(malloc(entry->len + 1));
	if (entry->len > 0)
		memcpy(sent->data, entry->data, entry->len);
}

static int fake_send(struct vly_io *io, uint32_t listener, const struct vly_tx *tx,
		     const uint16_t *heads, uint32_t n)
{
	struct fake_io *fake = fake_of(io);
	uint32_t call = fake->n_send_calls++;
	int r = call < fake->n_results ? fake->results[call] : fake->always;

	if (n == 0)
		die("an empty send");
	io->tx_syscalls++;
	if (n > fake->max_send)
		fake->max_send = n;
	if (r < 0)
		return r;
	if ((uint32_t)r > n)
		r = (int)n;
	for (uint32_t i = 0; i < (uint32_t)r; i++) {
		const struct vly_tx *head = &tx[heads[i]];
		const struct vly_tx *entry = head;

		for (uint32_t k = 0; k < head->n_segments; k++) {
			keep(fake, listener, head, entry);
			if (k + 1 < head->n_segments)
				entry = &tx[entry->next];
		}
		fake->n_messages++;
	}
	return r;
}

static void fake_close(struct vly_io *io)
{
	struct fake_io *fake = fake_of(io);

	for (size_t i = 0; i < fake->n_items; i++)
		free(fake->items[i].data);
	for (size_t i = 0; i < fake->n_sent; i++)
		free(fake->sent[i].data);
	free(fake->items);
	free(fake->sent);
	free(fake);
}

static const struct vly_io_ops fake_ops = {
	.name = "fake",
	.open = fake_open,
	.attach = fake_attach,
	.detach = fake_detach,
	.recv = fake_recv,
	.send = fake_send,
	.close = fake_close,
};

struct fake_io *fake_io_install(struct volley_worker *worker)
{
	vly_io_close(worker->io);
	fake_ops.open(&worker->intake.slots, &worker->io);
	worker->io->ops = &fake_ops;
	return fake_of(worker->io);
}

/* The server ----------------------------------------------------------------------------------- */

uint32_t fake_server_listen(struct fake_server *fake, const char *address,
			    const struct volley_listen_config *listen)
{
	struct volley_listener listener;

	if (volley_server_listen(fake->server, address, listen, &listener) < 0)
		die("the server cannot listen");
	return VLY_LISTENER_INDEX(listener.id);
}

void fake_server_open(struct fake_server *fake, const struct volley_config *config,
		      const char *address, const struct volley_listen_config *listen)
{
	struct volley_config c = { .size = sizeof c };

	if (config != NULL)
		c = *config;
	c.n_workers = 1;
	if (volley_server_new(&c, &fake->server) < 0)
		die("no server with this config");
	fake->worker = &fake->server->workers[0];
	fake->io = fake_io_install(fake->worker);
	fake_server_listen(fake, address, listen);
	fake->addr = &vly_listeners_get(fake->server, 0)->addr;
	fake->listener = listener_at(fake->server, 0);
}

uint32_t fake_server_run(struct fake_server *fake)
{
	vly_socks_set_all_ready(&fake->worker->socks);
	return vly_pipeline_run_once(fake->worker, fake->server->shared.config.n_budget);
}

struct volley_stats fake_server_stats(struct fake_server *fake)
{
	struct volley_stats stats = { .size = sizeof stats };
	const char *fault = ledger_find_server_fault(fake->server);

	if (fault != NULL)
		die(fault);
	volley_server_get_stats(fake->server, &stats);
	return stats;
}

void fake_server_close(struct fake_server *fake)
{
	struct volley_stats stats;

	vly_backlog_drop(fake->worker, VOLLEY_TX_STOPPED);
	vly_pipeline_publish(fake->worker);
	stats = fake_server_stats(fake);
	if (stats.tx_queued != 0)
		die("something is queued that nobody will send");
	if (vly_buffers_count_used(fake->worker->backlog) != 0)
		die("a packet buffer leaked");
	if (volley_server_free(fake->server) < 0)
		die("the server cannot be freed");
}
