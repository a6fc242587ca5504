/* SPDX-License-Identifier: MIT */

/*
 * Requests and replies. nghttp3 knows HTTP and no QUIC, ngtcp2 the other way round; here each is
 * told what the other has taken. A request's data goes from ngtcp2's callbacks to nghttp3, replies
 * go from nghttp3 into packets in http_write().
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "http3.h"

enum { N_PARTS = 16 };

struct stream {
	LIST_ENTRY(stream) streams;
	bool is_get;
	bool is_head;
	nghttp3_rcbuf *path;
	nghttp3_vec file;
};

static int fail(struct client *client, int error)
{
	ngtcp2_connection_close_error_set_application_error(
		&client->error, nghttp3_err_infer_quic_app_error_code(error), NULL, 0);
	return NGTCP2_ERR_CALLBACK_FAILURE;
}

/* NOLINTBEGIN(readability-function-size): the libraries give their callbacks what they have. */

/* Callbacks of nghttp3 ------------------------------------------------------------------------- */

static int on_begin(nghttp3_conn *http, int64_t id, void *arg, void *unused)
{
	struct stream *stream = calloc(1, sizeof *stream);

	if (stream == NULL)
		return NGHTTP3_ERR_CALLBACK_FAILURE;
	LIST_INSERT_HEAD(&((struct client *)arg)->streams, stream, streams);
	return nghttp3_conn_set_stream_user_data(http, id, stream);
}

static int on_header(nghttp3_conn *http, int64_t id, int32_t token, nghttp3_rcbuf *name,
		     nghttp3_rcbuf *value, uint8_t flags, void *arg, void *user_data)
{
	struct stream *stream = user_data;
	nghttp3_vec text = nghttp3_rcbuf_get_buf(value);

	if (token == NGHTTP3_QPACK_TOKEN__METHOD) {
		stream->is_get = text.len == 3 && memcmp(text.base, "GET", 3) == 0;
		stream->is_head = text.len == 4 && memcmp(text.base, "HEAD", 4) == 0;
	} else if (token == NGHTTP3_QPACK_TOKEN__PATH && stream->path == NULL) {
		nghttp3_rcbuf_incref(value);
		stream->path = value;
	}
	return 0;
}

static int consume(nghttp3_conn *http, int64_t id, size_t len, void *arg, void *stream)
{
	struct client *client = arg;

	ngtcp2_conn_extend_max_stream_offset(client->quic, id, len);
	ngtcp2_conn_extend_max_offset(client->quic, len);
	return 0;
}

/* A request's body, which nobody wants. */
static int on_data(nghttp3_conn *http, int64_t id, const uint8_t *data, size_t len, void *arg,
		   void *stream)
{
	return consume(http, id, len, arg, stream);
}

/* The whole file: nghttp3 gives of it what goes into each packet. */
static nghttp3_ssize read_file(nghttp3_conn *http, int64_t id, nghttp3_vec *parts, size_t n_parts,
			       uint32_t *flags, void *arg, void *stream)
{
	parts[0] = ((struct stream *)stream)->file;
	*flags = NGHTTP3_DATA_FLAG_EOF;
	return 1;
}

static nghttp3_nv make_field(const char *name, const char *value)
{
	return (nghttp3_nv){ (uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
			     strlen(value), NGHTTP3_NV_FLAG_NONE };
}

static int on_end(nghttp3_conn *http, int64_t id, void *arg, void *user_data)
{
	static const nghttp3_data_reader reader = { read_file };
	struct program *program = ((struct client *)arg)->shard->program;
	struct stream *stream = user_data;
	char status_text[16], length[24];
	nghttp3_nv fields[3];
	int status = 405;

	if ((stream->is_get || stream->is_head) && stream->path != NULL) {
		nghttp3_vec path = nghttp3_rcbuf_get_buf(stream->path);

		status = file_map(program->root_fd, path.base, path.len, &stream->file);
	}
	count(&program->n_requests);
	snprintf(status_text, sizeof status_text, "%d", status);
	snprintf(length, sizeof length, "%zu", stream->file.len);
	fields[0] = make_field(":status", status_text);
	fields[1] = make_field("content-length", length);
	fields[2] = make_field("allow", "GET, HEAD");
	return nghttp3_conn_submit_response(http, id, fields, status == 405 ? 3 : 2,
					    stream->is_get && stream->file.len > 0 ? &reader
										   : NULL);
}

static int free_stream(nghttp3_conn *http, int64_t id, uint64_t code, void *arg, void *user_data)
{
	struct stream *stream = user_data;

	if (stream == NULL)
		return 0;
	LIST_REMOVE(stream, streams);
	if (stream->path != NULL)
		nghttp3_rcbuf_decref(stream->path);
	if (stream->file.base != NULL)
		munmap(stream->file.base, stream->file.len);
	free(stream);
	return 0;
}

static int on_stop_sending(nghttp3_conn *http, int64_t id, uint64_t code, void *arg, void *stream)
{
	return ngtcp2_conn_shutdown_stream_read(((struct client *)arg)->quic, id, code);
}

static int on_reset(nghttp3_conn *http, int64_t id, uint64_t code, void *arg, void *stream)
{
	return ngtcp2_conn_shutdown_stream_write(((struct client *)arg)->quic, id, code);
}

/* HTTP on a connection ------------------------------------------------------------------------- */

static int on_handshake_completed(ngtcp2_conn *quic, void *arg)
{
	static const nghttp3_callbacks callbacks = { .begin_headers = on_begin,
						     .recv_header = on_header,
						     .recv_data = on_data,
						     .deferred_consume = consume,
						     .end_stream = on_end,
						     .stream_close = free_stream,
						     .stop_sending = on_stop_sending,
						     .reset_stream = on_reset };
	int64_t ids[3] = { -1, -1, -1 }; /* of the control stream, and of QPACK's two */
	struct client *client = arg;
	const ngtcp2_transport_params *ours = ngtcp2_conn_get_local_transport_params(quic);
	nghttp3_conn *http = NULL;
	nghttp3_settings settings;
	int r;

	nghttp3_settings_default(&settings);
	r = nghttp3_conn_server_new(&http, &callbacks, &settings, NULL, client);
	for (int i = 0; i < 3 && r == 0; i++)
		r = ngtcp2_conn_open_uni_stream(quic, &ids[i], NULL);
	if (r == 0)
		r = nghttp3_conn_bind_control_stream(http, ids[0]);
	if (r == 0)
		r = nghttp3_conn_bind_qpack_streams(http, ids[1], ids[2]);
	if (r != 0) {
		nghttp3_conn_del(http);
		return fail(client, NGHTTP3_ERR_H3_INTERNAL_ERROR);
	}
	nghttp3_conn_set_max_client_streams_bidi(http, ours->initial_max_streams_bidi);
	client->http = http;
	return 0;
}

void http_stop(struct client *client)
{
	struct stream *next;

	for (struct stream *stream = LIST_FIRST(&client->streams); stream != NULL; stream = next) {
		next = LIST_NEXT(stream, streams);
		free_stream(client->http, -1, 0, client, stream);
	}
	nghttp3_conn_del(client->http);
}

/* What ngtcp2 says of one stream; the others go on. Returns whether it was that. */
static bool skip_stream(struct client *client, int64_t id, ngtcp2_ssize error)
{
	if (error == NGTCP2_ERR_STREAM_DATA_BLOCKED)
		nghttp3_conn_block_stream(client->http, id);
	else if (error == NGTCP2_ERR_STREAM_SHUT_WR || error == NGTCP2_ERR_STREAM_NOT_FOUND)
		nghttp3_conn_shutdown_stream_write(client->http, id);
	else
		return false;
	return true;
}

ngtcp2_ssize http_write(struct client *client, ngtcp2_path *path, uint8_t *packet, size_t n_bytes)
{
	ngtcp2_ssize n;

	do {
		nghttp3_vec parts[N_PARTS];
		nghttp3_ssize n_parts = 0;
		ngtcp2_ssize n_taken = -1;
		int64_t id = -1;
		int fin = 0;

		if (client->http != NULL && ngtcp2_conn_get_max_data_left(client->quic) > 0)
			n_parts = nghttp3_conn_writev_stream(client->http, &id, &fin, parts,
							     N_PARTS);
		if (n_parts < 0)
			return fail(client, (int)n_parts);
		n = ngtcp2_conn_writev_stream(
			client->quic, path, &client->way.info, packet, n_bytes, &n_taken,
			NGTCP2_WRITE_STREAM_FLAG_MORE | (fin ? NGTCP2_WRITE_STREAM_FLAG_FIN : 0u),
			id, (const ngtcp2_vec *)parts, (size_t)n_parts, get_now_ns(client->shard));
		if (n_taken >= 0)
			nghttp3_conn_add_write_offset(client->http, id, (size_t)n_taken);
		if (id >= 0 && skip_stream(client, id, n))
			n = NGTCP2_ERR_WRITE_MORE;
	} while (n == NGTCP2_ERR_WRITE_MORE);
	return n;
}

/* Callbacks of ngtcp2 -------------------------------------------------------------------------- */

static int on_new_id(ngtcp2_conn *quic, ngtcp2_cid *cid, uint8_t *token, size_t n_cid, void *arg)
{
	return shard_make_id(arg, cid, token);
}

static int on_old_id(ngtcp2_conn *quic, const ngtcp2_cid *cid, void *arg)
{
	shard_remove_id(((struct client *)arg)->shard, cid);
	return 0;
}

static void fill_random(uint8_t *data, size_t len, const ngtcp2_rand_ctx *unused)
{
	arc4random_buf(data, len);
}

static int on_stream_data(ngtcp2_conn *quic, uint32_t flags, int64_t id, uint64_t offset,
			  const uint8_t *data, size_t len, void *arg, void *stream)
{
	struct client *client = arg;
	nghttp3_ssize n = nghttp3_conn_read_stream(client->http, id, data, len,
						   (flags & NGTCP2_STREAM_DATA_FLAG_FIN) != 0);

	return n < 0 ? fail(client, (int)n) : consume(client->http, id, (size_t)n, arg, stream);
}

static int on_stream_close(ngtcp2_conn *quic, uint32_t flags, int64_t id, uint64_t code, void *arg,
			   void *stream)
{
	struct client *client = arg;
	int r = nghttp3_conn_close_stream(
		client->http, id,
		flags & NGTCP2_STREAM_CLOSE_FLAG_APP_ERROR_CODE_SET ? code : NGHTTP3_H3_NO_ERROR);

	if (ngtcp2_is_bidi_stream(id))
		ngtcp2_conn_extend_max_streams_bidi(quic, 1);
	return r == 0 || r == NGHTTP3_ERR_STREAM_NOT_FOUND ? 0 : fail(client, r);
}

/* A request that is not whole, and not wanted any more. */
static int on_stream_reset(ngtcp2_conn *quic, int64_t id, uint64_t size, uint64_t code, void *arg,
			   void *stream)
{
	struct client *client = arg;
	int r = nghttp3_conn_shutdown_stream_read(client->http, id);

	if (r != 0)
		return fail(client, r);
	return ngtcp2_is_bidi_stream(id) ? ngtcp2_conn_shutdown_stream_write(quic, id, code) : 0;
}

static int on_unblock(ngtcp2_conn *quic, int64_t id, uint64_t max, void *arg, void *stream)
{
	struct client *client = arg;
	int r = nghttp3_conn_unblock_stream(client->http, id);

	return r == 0 ? 0 : fail(client, r);
}

static int on_more_streams(ngtcp2_conn *quic, uint64_t max, void *arg)
{
	nghttp3_conn_set_max_client_streams_bidi(((struct client *)arg)->http, max);
	return 0;
}

const ngtcp2_callbacks http_callbacks = {
	.recv_client_initial = ngtcp2_crypto_recv_client_initial_cb,
	.recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb,
	.encrypt = ngtcp2_crypto_encrypt_cb,
	.decrypt = ngtcp2_crypto_decrypt_cb,
	.hp_mask = ngtcp2_crypto_hp_mask_cb,
	.update_key = ngtcp2_crypto_update_key_cb,
	.delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb,
	.delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb,
	.get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb,
	.version_negotiation = ngtcp2_crypto_version_negotiation_cb,
	.rand = fill_random,
	.get_new_connection_id = on_new_id,
	.remove_connection_id = on_old_id,
	.handshake_completed = on_handshake_completed,
	.recv_stream_data = on_stream_data,
	.stream_close = on_stream_close,
	.stream_reset = on_stream_reset,
	.extend_max_stream_data = on_unblock,
	.extend_max_remote_streams_bidi = on_more_streams,
};

/* NOLINTEND(readability-function-size) */
