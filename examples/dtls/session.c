/* SPDX-License-Identifier: MIT */

/*
 * DTLS on OpenSSL without a socket. A BIO of our own passes datagrams one by one, which OpenSSL's
 * memory BIOs would join. Strangers share one SSL, which keeps nothing of them (DTLSv1_listen):
 *
 *     hello            -> "say it again, with this cookie"
 *     hello and cookie -> the SSL becomes that client's, and strangers get another
 *
 * So memory is only for those who hear what is sent to their address. A cookie is a number for the
 * address and the minute, by a key that nobody else knows.
 */

#include "session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

enum { COOKIE_S = 60, RECORD_BYTES = 16384, NS_PER_S = 1000000000 };

static int read_datagram(BIO *bio, char *data, int size)
{
	struct session *session = BIO_get_data(bio);
	size_t len = session->len < (size_t)size ? session->len : (size_t)size;

	BIO_clear_retry_flags(bio);
	if (len == 0) {
		BIO_set_retry_read(bio);
		return -1;
	}
	memcpy(data, session->data, len);
	session->len = 0;
	return (int)len;
}

/* What cannot be sent is in the ledger, and to DTLS it is as good as lost on the way. */
static int write_datagram(BIO *bio, const char *data, int len)
{
	const struct session *session = BIO_get_data(bio);

	volley_worker_send(session->worker, session->context->listener, &session->peer, data,
			   (size_t)len, VOLLEY_SEND(.local = &session->local));
	return len;
}

static long control(BIO *bio, int command, long number, void *pointer)
{
	const struct session *session = BIO_get_data(bio);

	(void)number, (void)pointer;
	if (command == BIO_CTRL_DGRAM_GET_MTU_OVERHEAD)
		return session->peer.sa.sa_family == AF_INET ? 20 + 8 : 40 + 8;
	return command == BIO_CTRL_FLUSH;
}

static uint64_t make_cookie(const SSL *ssl, uint64_t age)
{
	const struct session *session = BIO_get_data(SSL_get_rbio(ssl));
	uint64_t now = volley_worker_get_now_ns(session->worker) / NS_PER_S / COOKIE_S;
	const uint64_t *key = session->context->key;

	return volley_addr_hash(&session->peer, (uint64_t[]){ key[0], key[1] ^ (now - age) });
}

static int give_cookie(SSL *ssl, unsigned char *text, unsigned int *len)
{
	uint64_t cookie = make_cookie(ssl, 0);

	memcpy(text, &cookie, sizeof cookie);
	*len = sizeof cookie;
	return 1;
}

/* It is good for one to two minutes. */
static int check_cookie(SSL *ssl, const unsigned char *text, unsigned int len)
{
	uint64_t now = make_cookie(ssl, 0), before = make_cookie(ssl, 1);

	return len == sizeof now && (CRYPTO_memcmp(text, &now, sizeof now) == 0 ||
				     CRYPTO_memcmp(text, &before, sizeof before) == 0);
}

static int refuse(struct session_context *context, const char *what, const char *file)
{
	unsigned long error = ERR_peek_error();
	const char *reason = ERR_SYSTEM_ERROR(error) ? strerror(ERR_GET_REASON(error))
						     : ERR_reason_error_string(error);

	fprintf(stderr, "dtls: %s %s: %s\n", what, file, reason != NULL ? reason : "no reason");
	session_close_context(context);
	return -EINVAL;
}

int session_open_context(struct session_context *context, const char *certificates, const char *key)
{
	context->ssl = SSL_CTX_new(DTLS_server_method());
	context->method = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_get_new_index(), "datagrams");
	if (context->ssl == NULL || context->method == NULL)
		return refuse(context, "cannot use", "OpenSSL");
	BIO_meth_set_read(context->method, read_datagram);
	BIO_meth_set_write(context->method, write_datagram);
	BIO_meth_set_ctrl(context->method, control);
	SSL_CTX_set_min_proto_version(context->ssl, DTLS1_2_VERSION);
	/* What is resumed is resumed by tickets: nothing is kept here when a session ends. */
	SSL_CTX_set_session_cache_mode(context->ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_options(context->ssl, SSL_OP_NO_QUERY_MTU | SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_cookie_generate_cb(context->ssl, give_cookie);
	SSL_CTX_set_cookie_verify_cb(context->ssl, check_cookie);
	arc4random_buf(context->key, sizeof context->key);
	if (SSL_CTX_use_certificate_chain_file(context->ssl, certificates) != 1)
		return refuse(context, "no certificates in", certificates);
	if (SSL_CTX_use_PrivateKey_file(context->ssl, key, SSL_FILETYPE_PEM) != 1)
		return refuse(context, "no key for them in", key);
	return 0;
}

void session_close_context(struct session_context *context)
{
	SSL_CTX_free(context->ssl);
	BIO_meth_free(context->method);
}

static bool open_stranger(struct session *stranger)
{
	BIO *bio = BIO_new(stranger->context->method);

	stranger->ssl = SSL_new(stranger->context->ssl);
	if (bio == NULL || stranger->ssl == NULL) {
		BIO_free(bio);
		SSL_free(stranger->ssl);
		stranger->ssl = NULL;
		return false;
	}
	BIO_set_data(bio, stranger);
	BIO_set_init(bio, 1);
	SSL_set_bio(stranger->ssl, bio, bio);
	DTLS_set_link_mtu(stranger->ssl, stranger->context->mtu);
	return true;
}

bool session_listen(struct session *stranger, const struct volley_packet *packet)
{
	BIO_ADDR *nobody = BIO_ADDR_new(); /* OpenSSL wants to write what our BIO does not know */
	int r = 0;

	stranger->peer = *packet->peer;
	stranger->local = *packet->local;
	ERR_clear_error();
	if (nobody != NULL && (stranger->ssl != NULL || open_stranger(stranger))) {
		stranger->data = packet->data;
		stranger->len = packet->len;
		r = DTLSv1_listen(stranger->ssl, nobody);
		stranger->len = 0;
	}
	BIO_ADDR_free(nobody);
	return r > 0; /* else it asks again */
}

void session_take(struct session *session, struct session *stranger)
{
	*session = *stranger;
	BIO_set_data(SSL_get_rbio(session->ssl), session);
	stranger->ssl = NULL;
}

/* A hello in the clear with random bytes of its own: a late copy of the session's has the same. */
bool session_is_over(const struct session *session, const struct volley_packet *packet)
{
	enum { EPOCH = 3, MESSAGE = 13, OFFSET = 19, RANDOM = 27, N_RANDOM = 32 };
	static const uint8_t zero[3];
	const uint8_t *data = packet->data;
	uint8_t random[N_RANDOM];

	if (packet->len < RANDOM + N_RANDOM || data[0] != SSL3_RT_HANDSHAKE ||
	    memcmp(data + EPOCH, zero, 2) != 0 || data[MESSAGE] != SSL3_MT_CLIENT_HELLO ||
	    memcmp(data + OFFSET, zero, 3) != 0)
		return false;
	SSL_get_client_random(session->ssl, random, sizeof random);
	return memcmp(data + RANDOM, random, sizeof random) != 0;
}

/* What does not fit into one datagram leaves in several. */
static void echo(SSL *ssl, const uint8_t *data, size_t len)
{
	size_t most = DTLS_get_data_mtu(ssl);

	for (size_t at = 0; at < len && most > 0; at += most)
		SSL_write(ssl, data + at, (int)(len - at < most ? len - at : most));
}

static void say_why(const struct session *session)
{
	const char *reason = ERR_reason_error_string(ERR_peek_error());
	char peer[VOLLEY_ADDR_TEXT_BYTES];

	volley_addr_format(&session->peer, peer, sizeof peer);
	fprintf(stderr, "dtls: %s: %s\n", peer, reason != NULL ? reason : "OpenSSL gives up");
}

bool session_serve(struct session *session, const struct volley_packet *packet)
{
	uint8_t plain[RECORD_BYTES];
	int n, error;

	if (packet != NULL) {
		session->data = packet->data;
		session->len = packet->len;
	}
	ERR_clear_error();
	while ((n = SSL_read(session->ssl, plain, sizeof plain)) > 0)
		echo(session->ssl, plain, (size_t)n);
	error = SSL_get_error(session->ssl, n);
	if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_ZERO_RETURN)
		say_why(session);
	return error == SSL_ERROR_WANT_READ;
}

int64_t session_get_timeout_ns(const struct session *session)
{
	struct timeval left;

	if (DTLSv1_get_timeout(session->ssl, &left) <= 0)
		return -1;
	return left.tv_sec * (int64_t)NS_PER_S + left.tv_usec * 1000;
}

bool session_retry(struct session *session)
{
	ERR_clear_error();
	if (DTLSv1_handle_timeout(session->ssl) >= 0)
		return true;
	say_why(session);
	return false;
}

/* After an error OpenSSL sends nothing more. */
void session_close(struct session *session)
{
	if (session->ssl != NULL)
		SSL_shutdown(session->ssl);
	SSL_free(session->ssl);
	session->ssl = NULL;
}
