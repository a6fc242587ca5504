/* SPDX-License-Identifier: MIT */

/*
 * A client's connection. ngtcp2 keeps the protocol and the time; here it gets packets and a clock.
 *
 * A packet comes, or the timer fires: the client is woken, and when its turn has come,
 * client_write() writes as many packets as ngtcp2 lets go at once. All but the last are equally
 * long, so volley sends them as one segmented message. Then the timer is set to what ngtcp2 waits
 * for: an acknowledgement, its pacing, the end of an idle connection.
 *
 * A connection that has ended is forgotten at once. Who sends to it nevertheless gets a stateless
 * reset, which says the same (RFC 9000, 10.2.1).
 */

#include <ngtcp2/ngtcp2_crypto_gnutls.h>
#include <stdlib.h>

#include "http3.h"

enum { N_STREAMS = 100, STREAM_BYTES = 65536, ALL_BYTES = 1048576 }; /* requests are small */

static ngtcp2_conn *get_quic(ngtcp2_crypto_conn_ref *ref)
{
	return ((struct client *)ref->user_data)->quic;
}

static int start_tls(struct client *client)
{
	const struct program *program = client->shard->program;
	unsigned char name[] = "h3";
	const gnutls_datum_t protocol = { .data = name, .size = sizeof name - 1 };

	if (gnutls_init(&client->tls, GNUTLS_SERVER | GNUTLS_NO_AUTO_SEND_TICKET) < 0 ||
	    gnutls_priority_set(client->tls, program->priority) < 0 ||
	    gnutls_credentials_set(client->tls, GNUTLS_CRD_CERTIFICATE, program->credentials) < 0 ||
	    gnutls_alpn_set_protocols(client->tls, &protocol, 1, GNUTLS_ALPN_MANDATORY) < 0)
		return -1;
	client->ref = (ngtcp2_crypto_conn_ref){ get_quic, client };
	gnutls_session_set_ptr(client->tls, &client->ref);
	return ngtcp2_crypto_gnutls_configure_server_session(client->tls);
}

/* The addresses of a way as ngtcp2 reads and writes them; their family stays. */
static ngtcp2_path get_path(struct way *way)
{
	return (ngtcp2_path){ .local = { &way->local.sa, way->local.len },
			      .remote = { &way->peer.sa, way->peer.len } };
}

static int start_quic(struct client *client, const ngtcp2_pkt_hd *header)
{
	ngtcp2_path path = get_path(&client->way);
	ngtcp2_transport_params params;
	ngtcp2_settings settings;
	ngtcp2_cid id;

	ngtcp2_settings_default(&settings);
	settings.initial_ts = get_now_ns(client->shard);
	ngtcp2_transport_params_default(&params);
	params.initial_max_streams_bidi = N_STREAMS;
	params.initial_max_streams_uni = 3;
	params.initial_max_stream_data_bidi_remote = STREAM_BYTES;
	params.initial_max_stream_data_uni = STREAM_BYTES;
	params.initial_max_data = ALL_BYTES;
	params.max_idle_timeout = client->shard->program->idle_s * NGTCP2_SECONDS;
	params.original_dcid = header->dcid;
	params.stateless_reset_token_present = 1;
	if (shard_make_id(client, &id, params.stateless_reset_token) != 0 ||
	    shard_add_id(client, &header->dcid) != 0)
		return -1;
	return ngtcp2_conn_server_new(&client->quic, &header->scid, &id, &path, header->version,
				      &http_callbacks, &settings, &params, NULL, client);
}

static void free_client(struct client *client)
{
	volley_worker_clear_timer(client->shard->worker, &client->timer);
	if (client->is_ready)
		TAILQ_REMOVE(&client->shard->ready, client, ready);
	TAILQ_REMOVE(&client->shard->all, client, all);
	client->shard->n_clients--;
	shard_remove_ids(client);
	http_stop(client);
	ngtcp2_conn_del(client->quic);
	if (client->tls != NULL)
		gnutls_deinit(client->tls);
	free(client);
}

/*
 * Before the handshake is complete ngtcp2 may have no right to send (RFC 9000, 8.1), which it
 * asserts here. So an early client gets an Initial packet that needs no state, as a refused one
 * does; one that knows our id by then ignores it, and hears of its end by a reset.
 */
static ngtcp2_ssize write_close(struct client *client, ngtcp2_path *path, uint8_t *packet)
{
	bool is_http = client->error.type == NGTCP2_CONNECTION_CLOSE_ERROR_CODE_TYPE_APPLICATION;

	if (client->http != NULL)
		return ngtcp2_conn_write_connection_close(
			client->quic, path, &client->way.info, packet, NGTCP2_MAX_UDP_PAYLOAD_SIZE,
			&client->error, get_now_ns(client->shard));
	return ngtcp2_crypto_write_connection_close(
		packet, NGTCP2_MAX_UDP_PAYLOAD_SIZE,
		ngtcp2_conn_get_client_chosen_version(client->quic),
		ngtcp2_conn_get_dcid(client->quic),
		ngtcp2_conn_get_client_initial_dcid(client->quic),
		is_http ? NGTCP2_APPLICATION_ERROR : client->error.error_code, NULL, 0);
}

void client_close(struct client *client)
{
	uint8_t packet[NGTCP2_MAX_UDP_PAYLOAD_SIZE];
	ngtcp2_path path = get_path(&client->way);
	ngtcp2_ssize n = write_close(client, &path, packet);

	if (n > 0)
		shard_send(client->shard, &client->way, packet, (size_t)n);
	free_client(client);
}

/* Why ngtcp2 does not go on. */
static void fail(struct client *client, int error)
{
	if (error == NGTCP2_ERR_CRYPTO)
		ngtcp2_connection_close_error_set_transport_error_tls_alert(
			&client->error, ngtcp2_conn_get_tls_alert(client->quic), NULL, 0);
	else if (error != NGTCP2_ERR_CALLBACK_FAILURE)
		ngtcp2_connection_close_error_set_transport_error_liberr(&client->error, error,
									 NULL, 0);
	if (error == NGTCP2_ERR_DRAINING || error == NGTCP2_ERR_DROP_CONN ||
	    error == NGTCP2_ERR_IDLE_CLOSE)
		free_client(client);
	else
		client_close(client);
}

void client_leave(struct client *client)
{
	client->is_leaving = true;
	if (client->http != NULL && nghttp3_conn_shutdown(client->http) == 0)
		client_wake(client);
	else
		client_close(client);
}

void client_wake(struct client *client)
{
	if (!client->is_ready)
		TAILQ_INSERT_TAIL(&client->shard->ready, client, ready);
	client->is_ready = true;
}

/* Packets and time ----------------------------------------------------------------------------- */

static void on_timer(struct volley_worker *worker, struct volley_timer *timer, void *arg)
{
	struct client *client = arg;
	struct shard *shard = client->shard;
	int r = ngtcp2_conn_handle_expiry(client->quic, get_now_ns(shard));

	if (r == 0)
		client_wake(client);
	else
		fail(client, r);
	shard_write(shard);
}

struct client *client_new(struct shard *shard, const struct way *way, const ngtcp2_pkt_hd *header)
{
	struct client *client = calloc(1, sizeof *client);

	if (client == NULL)
		return NULL;
	client->shard = shard;
	client->way = *way;
	client->timer = (struct volley_timer){ .fn = on_timer, .arg = client };
	ngtcp2_connection_close_error_set_application_error(&client->error, NGHTTP3_H3_NO_ERROR,
							    NULL, 0);
	TAILQ_INSERT_TAIL(&shard->all, client, all);
	shard->n_clients++;
	if (start_tls(client) != 0 || start_quic(client, header) != 0) {
		free_client(client);
		return NULL;
	}
	ngtcp2_conn_set_tls_native_handle(client->quic, client->tls);
	count(&shard->program->n_clients);
	return client;
}

void client_read(struct client *client, const struct datagram *datagram)
{
	struct way way = datagram->way;
	ngtcp2_path path = get_path(&way);
	int r = ngtcp2_conn_read_pkt(client->quic, &path, &way.info, datagram->data, datagram->len,
				     get_now_ns(client->shard));

	if (r == 0)
		client_wake(client);
	else
		fail(client, r);
}

void client_write(struct client *client)
{
	size_t left = ngtcp2_conn_get_send_quantum(client->quic);
	uint64_t now_ns = get_now_ns(client->shard);
	struct way *way = &client->way;
	bool has_room = true;
	ngtcp2_ssize n = 1;
	uint64_t end_ns;

	while (n > 0 && left >= (size_t)n && has_room) {
		uint8_t *packet = shard_get_room(client->shard);
		ngtcp2_path path = get_path(way);

		has_room = packet != NULL;
		n = has_room ? http_write(client, &path, packet, PACKET_BYTES) : 0;
		if (n <= 0)
			break;
		left -= (size_t)n;
		has_room = shard_send(client->shard, way, packet, (size_t)n);
	}
	if (n < 0) {
		fail(client, (int)n);
		return;
	}
	if (n == 0 && has_room && client->is_leaving && LIST_EMPTY(&client->streams)) {
		client_close(client);
		return;
	}
	if (!has_room)
		client_wake(client);
	ngtcp2_conn_update_pkt_tx_time(client->quic, now_ns);
	end_ns = ngtcp2_conn_get_expiry(client->quic);
	volley_worker_set_timer(client->shard->worker, &client->timer,
				end_ns > now_ns ? end_ns - now_ns : 0, 0);
}
