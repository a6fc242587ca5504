/* SPDX-License-Identifier: MIT */

/*
 * A worker's part: whose packet is it, and who sends when.
 *
 *	on_batch        each packet goes to its client, who is ready to send then
 *	on_batch_end    the volley's replies have left: those who are ready send
 *	a timer         the same, for its client
 *
 * What is sent takes room of the worker's arena until volley has sent it, so a turn sends so much,
 * and a timer without a delay goes on with the next turn. Where packets wait for a full socket,
 * nobody makes that line longer: all pause until on_writable.
 *
 * A client may move to another address, so ids name the worker that has it, and the kernel chooses
 * the socket by that (quic_ids.h). Where it does not, and chooses by the address, the packet is
 * copied to that worker.
 */

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http3.h"

enum {
	/*
	 * A quarter of the arena, where what two turns send may be; and less than the 1,024 packets
	 * that find a place in an empty line.
	 */
	TURN_BYTES = 262144,
	N_FORWARDING = 4096, /* more packets on their way between workers are lost */
	RESET_BYTES = 43,    /* as a short packet would be (RFC 9000, 10.3) */
	LONG_PACKET = 0x80,  /* in the first byte: with versions, and ids of any length */
};

/* Ids ------------------------------------------------------------------------------------------ */

struct id {
	LIST_ENTRY(id) ids;
	ngtcp2_cid cid;
	struct client *client;
};

static int compare(const void *a, const void *b)
{
	const ngtcp2_cid *x = &((const struct id *)a)->cid;
	const ngtcp2_cid *y = &((const struct id *)b)->cid;

	return x->datalen != y->datalen ? (x->datalen < y->datalen ? -1 : 1)
					: memcmp(x->data, y->data, x->datalen);
}

static struct id *find(const struct shard *shard, const uint8_t *data, size_t len)
{
	struct id key, *const *found;

	if (len > NGTCP2_MAX_CIDLEN)
		return NULL;
	ngtcp2_cid_init(&key.cid, data, len);
	found = tfind(&key, &shard->ids, compare);
	return found == NULL ? NULL : *found;
}

int shard_add_id(struct client *client, const ngtcp2_cid *cid)
{
	struct id *id = malloc(sizeof *id);
	struct id **place = NULL;

	if (id != NULL) {
		*id = (struct id){ .cid = *cid, .client = client };
		place = tsearch(id, &client->shard->ids, compare);
	}
	if (place == NULL || *place != id) {
		free(id);
		return NGTCP2_ERR_CALLBACK_FAILURE;
	}
	LIST_INSERT_HEAD(&client->ids, id, ids);
	return 0;
}

int shard_make_id(struct client *client, ngtcp2_cid *ret_cid, uint8_t *ret_token)
{
	uint8_t data[ID_BYTES];

	arc4random_buf(data, sizeof data);
	data[0] = (uint8_t)volley_worker_get_index(client->shard->worker);
	ngtcp2_cid_init(ret_cid, data, sizeof data);
	if (ngtcp2_crypto_generate_stateless_reset_token(ret_token, client->shard->program->secret,
							 SECRET_BYTES, ret_cid) != 0)
		return NGTCP2_ERR_CALLBACK_FAILURE;
	return shard_add_id(client, ret_cid);
}

static void remove_id(struct shard *shard, struct id *id)
{
	tdelete(id, &shard->ids, compare);
	LIST_REMOVE(id, ids);
	free(id);
}

void shard_remove_id(struct shard *shard, const ngtcp2_cid *cid)
{
	struct id *id = find(shard, cid->data, cid->datalen);

	if (id != NULL)
		remove_id(shard, id);
}

void shard_remove_ids(struct client *client)
{
	struct id *next;

	for (struct id *id = LIST_FIRST(&client->ids); id != NULL; id = next) {
		next = LIST_NEXT(id, ids);
		remove_id(client->shard, id);
	}
}

/* Sending -------------------------------------------------------------------------------------- */

static void pause_turn(struct shard *shard)
{
	shard->is_paused = true;
	volley_worker_set_timer(shard->worker, &shard->resume, 0, 0);
}

/* What one client has not used is the next one's. */
uint8_t *shard_get_room(struct shard *shard)
{
	if (shard->room == NULL)
		shard->room = volley_worker_send_buffer(shard->worker, PACKET_BYTES, NULL);
	if (shard->room == NULL)
		pause_turn(shard);
	return shard->room;
}

bool shard_send(struct shard *shard, const struct way *way, const uint8_t *data, size_t len)
{
	if (data == shard->room)
		shard->room = NULL;
	volley_worker_send(
		shard->worker, way->listener, &way->peer, data, len,
		VOLLEY_SEND(.flags = VOLLEY_SEND_TOS, .tos = way->info.ecn, .local = &way->local));
	shard->n_room -= len < shard->n_room ? len : shard->n_room;
	if (shard->n_room == 0)
		pause_turn(shard);
	return !shard->is_paused;
}

/* Where packets wait for a full socket, shard_resume() comes when they have left. */
static bool is_full(struct shard *shard, const struct client *client)
{
	if (volley_worker_get_tx_queued(shard->worker, client->way.listener) <= 0)
		return false;
	count(&shard->program->n_full);
	shard->is_paused = true;
	return true;
}

void shard_write(struct shard *shard)
{
	struct client *client;

	while (!shard->is_paused && (client = TAILQ_FIRST(&shard->ready)) != NULL &&
	       !is_full(shard, client)) {
		TAILQ_REMOVE(&shard->ready, client, ready);
		client->is_ready = false;
		client_write(client);
	}
	shard->room = NULL; /* valid until the callback returns */
}

void shard_write_all(struct volley_worker *worker, void *program)
{
	struct shard *shard = volley_worker_get_data(worker);

	shard->n_room = TURN_BYTES;
	shard_write(shard);
}

void shard_resume(struct volley_worker *worker, struct volley_listener listener, void *arg)
{
	((struct shard *)volley_worker_get_data(worker))->is_paused = false;
	shard_write_all(worker, NULL);
}

static void on_resume(struct volley_worker *worker, struct volley_timer *timer, void *arg)
{
	shard_resume(worker, (struct volley_listener){ 0 }, arg);
}

/* Packets that are no client's ----------------------------------------------------------------- */

static void send_versions(struct shard *shard, const struct datagram *datagram,
			  const ngtcp2_version_cid *id)
{
	static const uint32_t versions[] = { NGTCP2_PROTO_VER_V1 };
	uint8_t packet[NGTCP2_MAX_UDP_PAYLOAD_SIZE];
	ngtcp2_ssize n = ngtcp2_pkt_write_version_negotiation(
		packet, sizeof packet, (uint8_t)arc4random(), id->scid, id->scidlen, id->dcid,
		id->dcidlen, versions, sizeof versions / sizeof versions[0]);

	if (n > 0)
		shard_send(shard, &datagram->way, packet, (size_t)n);
}

/*
 * "I know nothing of this connection": for its client the end of it. While another process reads
 * these sockets too, in a hot restart, it may be that one's. A reset is shorter than its packet, so
 * two servers that send it to each other come to an end.
 */
static void send_reset(struct shard *shard, const struct datagram *datagram,
		       const ngtcp2_version_cid *id)
{
	size_t max = datagram->len <= RESET_BYTES ? datagram->len - 1 : RESET_BYTES;
	uint8_t token[NGTCP2_STATELESS_RESET_TOKENLEN];
	uint8_t random[RESET_BYTES], packet[RESET_BYTES];
	ngtcp2_ssize n = 0;
	ngtcp2_cid cid;

	if (volley_server_count_sharers(volley_worker_get_server(shard->worker)) > 0)
		return;
	arc4random_buf(random, sizeof random);
	ngtcp2_cid_init(&cid, id->dcid, id->dcidlen);
	if (ngtcp2_crypto_generate_stateless_reset_token(token, shard->program->secret,
							 SECRET_BYTES, &cid) == 0)
		n = ngtcp2_pkt_write_stateless_reset(packet, max, token, random,
						     sizeof random - sizeof token);
	if (n <= 0)
		return;
	count(&shard->program->n_resets);
	shard_send(shard, &datagram->way, packet, (size_t)n);
}

static struct client *accept_client(struct shard *shard, const struct datagram *datagram)
{
	uint8_t packet[NGTCP2_MAX_UDP_PAYLOAD_SIZE];
	ngtcp2_pkt_hd header;
	ngtcp2_ssize n;

	if (ngtcp2_accept(&header, datagram->data, datagram->len) != 0)
		return NULL;
	if (shard->n_clients < shard->program->n_max && !shard->is_leaving)
		return client_new(shard, &datagram->way, &header);
	n = ngtcp2_crypto_write_connection_close(packet, sizeof packet, header.version,
						 &header.scid, &header.dcid,
						 NGTCP2_CONNECTION_REFUSED, NULL, 0);
	if (n > 0)
		shard_send(shard, &datagram->way, packet, (size_t)n);
	return NULL;
}

/* Packets -------------------------------------------------------------------------------------- */

struct copy {
	struct datagram datagram;
	uint8_t data[];
};

static void read_one(struct shard *shard, const struct datagram *datagram, bool is_forwarded);

static void read_copy(struct volley_worker *worker, void *arg)
{
	struct shard *shard = volley_worker_get_data(worker);
	struct copy *copy = arg;

	atomic_fetch_sub_explicit(&shard->program->n_forwarding, 1, memory_order_relaxed);
	read_one(shard, &copy->datagram, true);
	shard_write(shard);
	free(copy);
}

/* Returns whether it is another worker's. */
static bool forward(struct shard *shard, const struct datagram *datagram,
		    const ngtcp2_version_cid *id)
{
	struct volley_server *server = volley_worker_get_server(shard->worker);
	uint32_t worker_index = id->dcid[0];
	struct program *program = shard->program;
	struct copy *copy = NULL;

	if (worker_index >= volley_server_get_n_workers(server) ||
	    worker_index == volley_worker_get_index(shard->worker))
		return false;
	if (atomic_fetch_add_explicit(&program->n_forwarding, 1, memory_order_relaxed) <
	    N_FORWARDING)
		copy = malloc(sizeof *copy + datagram->len);
	if (copy != NULL) {
		copy->datagram = *datagram;
		copy->datagram.data = memcpy(copy->data, datagram->data, datagram->len);
	}
	if (copy != NULL && volley_server_post_to(server, worker_index, read_copy, copy) == 0) {
		count(&program->n_forwarded);
	} else { /* lost, as on any way */
		atomic_fetch_sub_explicit(&program->n_forwarding, 1, memory_order_relaxed);
		free(copy);
	}
	return true;
}

static void read_one(struct shard *shard, const struct datagram *datagram, bool is_forwarded)
{
	struct client *client = NULL;
	ngtcp2_version_cid id;
	struct id *known;
	int r = ngtcp2_pkt_decode_version_cid(&id, datagram->data, datagram->len, ID_BYTES);

	if (r == NGTCP2_ERR_VERSION_NEGOTIATION)
		send_versions(shard, datagram, &id);
	if (r != 0)
		return;
	known = find(shard, id.dcid, id.dcidlen);
	if (known != NULL)
		client = known->client;
	else if (!is_forwarded && id.dcidlen == ID_BYTES && forward(shard, datagram, &id))
		return;
	else if (datagram->data[0] & LONG_PACKET)
		client = accept_client(shard, datagram);
	else
		send_reset(shard, datagram, &id);
	if (client != NULL)
		client_read(client, datagram);
}

void shard_read(struct volley_worker *worker, struct volley_packet *packets, size_t n, void *arg)
{
	for (size_t i = 0; i < n; i++) {
		int tos = volley_packet_get_tos(&packets[i]);
		struct datagram datagram = {
			.way = { .listener = packets[i].listener,
				 .local = *packets[i].local,
				 .peer = *packets[i].peer,
				 .info = { tos < 0 ? 0 : (uint32_t)tos & NGTCP2_ECN_MASK } },
			.data = packets[i].data,
			.len = packets[i].len,
		};

		read_one(volley_worker_get_data(worker), &datagram, false);
	}
}

/* Hooks ---------------------------------------------------------------------------------------- */

int shard_start(struct volley_worker *worker, void *program)
{
	struct shard *shard;

	if (volley_worker_get_index(worker) > UINT8_MAX) {
		fprintf(stderr, "volley-http3: ids have room for 256 workers: --workers 256\n");
		return -EINVAL;
	}
	shard = calloc(1, sizeof *shard);
	if (shard == NULL)
		return -ENOMEM;
	shard->program = program;
	shard->worker = worker;
	shard->resume.fn = on_resume;
	TAILQ_INIT(&shard->all);
	TAILQ_INIT(&shard->ready);
	volley_worker_set_data(worker, shard);
	return 0;
}

/*
 * At the end of the server, requests may be finished. In a hot restart what their clients send may
 * come to the new process, which does not know them: so they are closed.
 */
void shard_leave(struct volley_worker *worker, void *program)
{
	struct shard *shard = volley_worker_get_data(worker);
	bool is_replaced = volley_server_count_sharers(volley_worker_get_server(worker)) > 0;
	struct client *next;

	shard->is_leaving = true;
	for (struct client *client = TAILQ_FIRST(&shard->all); client != NULL; client = next) {
		next = TAILQ_NEXT(client, all);
		if (is_replaced)
			client_close(client);
		else
			client_leave(client);
	}
	shard_write(shard);
}

void shard_stop(struct volley_worker *worker, void *program)
{
	struct shard *shard = volley_worker_get_data(worker);

	while (!TAILQ_EMPTY(&shard->all))
		client_close(TAILQ_FIRST(&shard->all));
	free(shard);
}
