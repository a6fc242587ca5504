/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_HTTP3_HTTP3_H
#define EXAMPLES_HTTP3_HTTP3_H

/* What the parts of volley-http3 know of each other. http3.c says which they are. */

#include <gnutls/gnutls.h>
#include <nghttp3/nghttp3.h>
#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "../common/replace.h"

/* The callbacks of three libraries have parameters that nobody here needs. */
#pragma GCC diagnostic ignored "-Wunused-parameter"

/* Our connection ids: a byte for the worker's index (quic_ids.h), the others are random. */
enum { ID_BYTES = 12, SECRET_BYTES = 32, PACKET_BYTES = NGTCP2_MAX_PMTUD_UDP_PAYLOAD_SIZE };

enum path { PATH_ROOT = 0, PATH_CERT, PATH_KEY, PATH_REPLACE, N_PATHS };

/* What all workers share: it stays as it is while they run, but for the counters. */
struct program {
	struct options options; /* first: its hooks get it */
	const char *paths[N_PATHS];
	uint32_t n_max; /* clients of a worker */
	uint32_t idle_s;
	uint32_t linger_ms; /* for requests that run when the server ends */
	bool is_steered;
	int root_fd;
	gnutls_certificate_credentials_t credentials;
	gnutls_priority_t priority;
	uint8_t secret[SECRET_BYTES]; /* of stateless resets; the same after a restart */
	atomic_uint n_clients;
	atomic_uint n_requests;
	atomic_uint n_forwarded;  /* packets that came to another worker than their client's */
	atomic_uint n_forwarding; /* of these, on their way now */
	atomic_uint n_full;       /* times that the socket was full */
	atomic_uint n_resets;
};

/* Between which addresses, by which socket, with which ECN bits. */
struct way {
	struct volley_listener listener;
	struct volley_addr local;
	struct volley_addr peer;
	ngtcp2_pkt_info info;
};

struct datagram {
	struct way way;
	const uint8_t *data;
	size_t len;
};

/* What a worker has. */
struct shard {
	struct program *program;
	struct volley_worker *worker;
	void *ids; /* tsearch(3) keeps it balanced, whatever ids somebody chooses */
	TAILQ_HEAD(, client) all;
	TAILQ_HEAD(, client) ready; /* who may have something to send, longest waiting first */
	uint32_t n_clients;
	bool is_leaving; /* no new ones */
	bool is_paused;  /* nobody sends until shard_resume() */
	size_t n_room;   /* bytes that may be sent until then */
	struct volley_timer resume;
	uint8_t *room; /* for the next packet, or NULL */
};

/* A connection: QUIC, TLS and HTTP. */
struct client {
	TAILQ_ENTRY(client) all;
	TAILQ_ENTRY(client) ready;
	struct shard *shard;
	LIST_HEAD(, id) ids;
	LIST_HEAD(, stream) streams; /* requests, until their replies have arrived */
	ngtcp2_conn *quic;
	gnutls_session_t tls;
	ngtcp2_crypto_conn_ref ref; /* how TLS finds `quic` */
	nghttp3_conn *http;         /* NULL until the handshake is complete */
	struct volley_timer timer;
	struct way way;                      /* of the latest packet to it */
	bool is_ready;                       /* in shard->ready */
	bool is_leaving;                     /* takes no new request, and ends after the last */
	ngtcp2_connection_close_error error; /* why it ends */
};

/* shard.c: hooks of the server's config, and the listener's callbacks. */
int shard_start(struct volley_worker *worker, void *program);
void shard_write_all(struct volley_worker *worker, void *program);
void shard_resume(struct volley_worker *worker, struct volley_listener listener, void *arg);
void shard_leave(struct volley_worker *worker, void *program);
void shard_stop(struct volley_worker *worker, void *program);
void shard_read(struct volley_worker *worker, struct volley_packet *packets, size_t n, void *arg);
/* Have all who are ready send. */
void shard_write(struct shard *shard);
/* Room for a packet that is sent without a copy; NULL: in the next turn. */
uint8_t *shard_get_room(struct shard *shard);
/* Returns whether there is room for more. */
bool shard_send(struct shard *shard, const struct way *way, const uint8_t *data, size_t len);
/* Ids that lead to a client. A new one comes with the token of its stateless reset. */
int shard_make_id(struct client *client, ngtcp2_cid *ret_cid, uint8_t *ret_token);
int shard_add_id(struct client *client, const ngtcp2_cid *cid);
void shard_remove_id(struct shard *shard, const ngtcp2_cid *cid);
void shard_remove_ids(struct client *client);

/* client.c. All but client_wake() may free it. */
struct client *client_new(struct shard *shard, const struct way *way, const ngtcp2_pkt_hd *header);
void client_read(struct client *client, const struct datagram *datagram);
void client_write(struct client *client);
void client_leave(struct client *client); /* finish the requests that there are */
void client_close(struct client *client); /* now */
void client_wake(struct client *client);  /* into shard->ready */

/* http.c. Callbacks of ngtcp2, and one packet of what a client shall get: its length, or 0. */
extern const ngtcp2_callbacks http_callbacks;
void http_stop(struct client *client);
ngtcp2_ssize http_write(struct client *client, ngtcp2_path *path, uint8_t *packet, size_t n_bytes);

/* file.c. Map a file: the status of the reply. */
int file_map(int root_fd, const uint8_t *path, size_t n_path, nghttp3_vec *ret_file);

static inline uint64_t get_now_ns(const struct shard *shard)
{
	return volley_worker_get_now_ns(shard->worker);
}

static inline void count(atomic_uint *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

#endif
