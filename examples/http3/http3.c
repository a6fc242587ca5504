/* SPDX-License-Identifier: MIT */

/*
 * volley-http3: the files below a directory by HTTP/3, with ngtcp2, nghttp3 and GnuTLS.
 *
 *	http3.c     the command line, the certificate, the life of the process
 *	shard.c     a worker: whose packet is it, who sends when
 *	client.c    a QUIC connection: packets, its timer, its end
 *	http.c      requests and replies
 *	file.c      files
 */

#include "http3.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../quic_ids.h"

/* What waits for a full socket is one turn's; 2 MBit/s sends it. */
enum { BACKLOG_US = 1000000 };

enum {
	OPTION_PATH = OPTION_OWN,
	OPTION_MAX_CLIENTS = OPTION_PATH + N_PATHS,
	OPTION_IDLE,
	OPTION_LINGER,
	OPTION_NO_STEER
};

static const char usage[] =
	"Usage: volley-http3 --listen ADDR:PORT --root DIR --cert FILE --key FILE [options]\n"
	"\n"
	"Serve the files below a directory by HTTP/3.\n"
	"\n"
	"  --root DIR            the directory\n"
	"  --cert FILE           the certificate and those above it, PEM\n"
	"  --key FILE            its private key, PEM\n"
	"  --max-clients N       connections per worker, 1 to 1000000 (default: 10000)\n"
	"  --idle SECONDS        when an idle connection ends, 1 to 3600 (default: 30)\n"
	"  --linger MS           for requests that run at the end, 0 to 600000 (default: 1000)\n"
	"  --no-steer            let the kernel choose workers by addresses, not by ids\n"
	"  --replace PATH        take the sockets over from the process that listens at this\n"
	"                        path, and then listen there\n";

static int read_keys(struct program *program)
{
	static const char purpose[] = "volley-http3 stateless reset";
	const char *key_path = program->paths[PATH_KEY];
	gnutls_datum_t key = { .data = NULL };
	int r = gnutls_certificate_allocate_credentials(&program->credentials);

	if (r >= 0)
		r = gnutls_certificate_set_x509_key_file(program->credentials,
							 program->paths[PATH_CERT], key_path,
							 GNUTLS_X509_FMT_PEM);
	if (r >= 0)
		r = gnutls_priority_init(&program->priority,
					 "NORMAL:-VERS-ALL:+VERS-TLS1.3:%DISABLE_TLS13_COMPAT_MODE",
					 NULL);
	if (r >= 0)
		r = gnutls_load_file(key_path, &key);
	if (r >= 0)
		r = gnutls_hmac_fast(GNUTLS_MAC_SHA256, key.data, key.size, purpose, sizeof purpose,
				     program->secret);
	gnutls_memset(key.data, 0, key.size);
	gnutls_free(key.data);
	return r;
}

static int format_stats(struct options *options, char *text, size_t n_text)
{
	struct program *program = (struct program *)options;

	return snprintf(text, n_text,
			"\"http3\":{\"clients\":%u,\"requests\":%u,\"forwarded\":%u,"
			"\"full\":%u,\"resets\":%u}",
			program->n_clients, program->n_requests, program->n_forwarded,
			program->n_full, program->n_resets);
}

static int serve(struct program *program)
{
	struct options *options = &program->options;
	struct volley_listen_config listener;
	int code = EXIT_RUNTIME;
	int r = 0;

	volley_listen_config_init(&listener, sizeof listener);
	listener.on_batch = shard_read;
	listener.on_writable = shard_resume;
	listener.steer = program->is_steered ? VOLLEY_STEER_PROGRAM : VOLLEY_STEER_FLOW;
	listener.steer_program = program->is_steered ? quic_ids : NULL;
	listener.n_steer_program = program->is_steered ? N_QUIC_IDS : 0;
	listener.flags = VOLLEY_LISTEN_WANT_TOS;
	listener.mtu_discover = VOLLEY_MTU_PROBE;
	options->config.on_start = shard_start;
	options->config.on_batch_end = shard_write_all;
	options->config.on_drain = shard_leave;
	options->config.on_stop = shard_stop;
	options->config.linger_us = program->linger_ms * 1000;
	options->config.backlog_us = BACKLOG_US;
	options->format_own_stats = format_stats;
	program->root_fd = open(program->paths[PATH_ROOT], O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (program->root_fd >= 0)
		r = read_keys(program);
	if (program->root_fd < 0)
		fprintf(stderr, "volley-http3: --root %s: %s\n", program->paths[PATH_ROOT],
			strerror(errno));
	else if (r < 0)
		fprintf(stderr, "volley-http3: --cert %s --key %s: %s\n", program->paths[PATH_CERT],
			program->paths[PATH_KEY], gnutls_strerror(r));
	else
		code = replace_serve(options, &listener, program->paths[PATH_REPLACE]);
	if (program->priority != NULL)
		gnutls_priority_deinit(program->priority);
	if (program->credentials != NULL)
		gnutls_certificate_free_credentials(program->credentials);
	if (program->root_fd >= 0)
		close(program->root_fd);
	return code;
}

static int take(struct program *program, int option, const char *value)
{
	if (option == OPTION_MAX_CLIENTS)
		return options_number(&program->options, "max-clients", value, 1, 1000000,
				      &program->n_max);
	if (option == OPTION_IDLE)
		return options_number(&program->options, "idle", value, 1, 3600, &program->idle_s);
	if (option == OPTION_LINGER)
		return options_number(&program->options, "linger", value, 0, 600000,
				      &program->linger_ms);
	if (option == OPTION_NO_STEER) {
		program->is_steered = false;
		return EXIT_OK;
	}
	if (option < OPTION_PATH)
		return options_take(&program->options, option, value);
	program->paths[option - OPTION_PATH] = value;
	return EXIT_OK;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		OPTIONS_COMMON,
		{ "root", required_argument, NULL, OPTION_PATH + PATH_ROOT },
		{ "cert", required_argument, NULL, OPTION_PATH + PATH_CERT },
		{ "key", required_argument, NULL, OPTION_PATH + PATH_KEY },
		{ "replace", required_argument, NULL, OPTION_PATH + PATH_REPLACE },
		{ "max-clients", required_argument, NULL, OPTION_MAX_CLIENTS },
		{ "idle", required_argument, NULL, OPTION_IDLE },
		{ "linger", required_argument, NULL, OPTION_LINGER },
		{ "no-steer", no_argument, NULL, OPTION_NO_STEER },
		{ NULL, 0, NULL, 0 },
	};
	static struct program program = {
		.n_max = 10000, .idle_s = 30, .linger_ms = 1000, .is_steered = true
	};
	const char *fault = NULL;
	int option;

	options_init(&program.options, "volley-http3");
	while ((option = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (option == 'h') {
			printf("%s%s", usage, options_help);
			return EXIT_OK;
		}
		if (take(&program, option, optarg) != EXIT_OK)
			return EXIT_USAGE;
	}
	if (optind < argc)
		fault = "options only, no arguments";
	else if (program.options.n_listen == 0)
		fault = "--listen is missing";
	else if (program.paths[PATH_ROOT] == NULL || program.paths[PATH_CERT] == NULL ||
		 program.paths[PATH_KEY] == NULL)
		fault = "--root, --cert and --key are needed";
	else if (program.options.config.n_handlers > 0)
		fault = "no --handlers: a connection belongs to its worker";
	if (fault == NULL)
		return serve(&program);
	fprintf(stderr, "volley-http3: %s; see volley-http3 --help\n", fault);
	return EXIT_USAGE;
}
