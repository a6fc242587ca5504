/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_DTLS_SESSION_H
#define EXAMPLES_DTLS_SESSION_H

/*
 * DTLS 1.2 with one client, by OpenSSL: what it reads are the datagrams that it is shown, what it
 * writes leaves by volley_worker_send(), and whoever has it keeps its time. All of it on the
 * worker's thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>
#include <volley/volley.h>

/* OpenSSL takes no MTU below 256, and gathers a flight in 4,096 bytes. */
enum { SESSION_MIN_MTU = 256, SESSION_MAX_MTU = 4000 };

/* The same for all sessions. */
struct session_context {
	struct volley_listener listener;
	SSL_CTX *ssl;
	BIO_METHOD *method;
	uint64_t key[2]; /* of the cookies */
	long mtu;        /* of a datagram with its IP and UDP headers */
};

/* It stays where it is, but for session_listen(). */
struct session {
	const struct session_context *context;
	struct volley_worker *worker;
	SSL *ssl;
	const uint8_t *data; /* the datagram that it may read */
	size_t len;          /* 0: there is none */
	struct volley_addr peer, local;
};

/* PEM files. 0, or -EINVAL after a sentence on stderr that names the one at fault. */
int session_open_context(struct session_context *context, const char *certificates,
			 const char *key);
void session_close_context(struct session_context *context);

/* Sends a cookie. Whether this was a hello with the right one: then session_take() it. */
bool session_listen(struct session *stranger, const struct volley_packet *packet);

/* The client's from here on; `stranger` is ready for the next one. */
void session_take(struct session *session, struct session *stranger);

/* Whether the client has begun anew, from the same port: that is for session_listen(). */
bool session_is_over(const struct session *session, const struct volley_packet *packet);

/* Echo what it says, NULL for what session_listen() has read. Whether it goes on. */
bool session_serve(struct session *session, const struct volley_packet *packet);

/* In how many nanoseconds session_retry() is due; -1: not at all. */
int64_t session_get_timeout_ns(const struct session *session);

/* Send once more what may have been lost. Whether it goes on. */
bool session_retry(struct session *session);

/* Say goodbye (close_notify), if there is somebody to say it to, and free. */
void session_close(struct session *session);

#endif
